"""Workspace provisioner: the port to the product, and its PostgreSQL adapter."""

from typing import Protocol

from adapters.postgres.pool import Connection, Pool
from subscription.model import Frozen
from subscription.state import Access, Subscription

MEMBERS_IN_USE_COLUMN = """
    (SELECT in_use.members FROM members_in_use AS in_use
      WHERE in_use.subscription_id = subscription.subscription_id) AS members_in_use
"""
"""SQL column with the members in use of the row `subscription`."""


class Workspace(Frozen):
    """Desired state of a subscription's workspace in the product. `version` orders the updates.

    Several workspaces may have the same `account_name`: subscriptions that claim a domain, or have lost it
    (R12). Only the one that holds the name has full access.
    """

    subscription_id: str
    account_name: str
    region: str
    platform: str
    plan: str
    members: int
    access: Access
    version: int


class WorkspaceProvisioner(Protocol):
    """Port to the product. All calls are idempotent, and an outdated version changes nothing."""

    async def put(self, workspace: Workspace) -> None: ...

    async def members_in_use(self, subscription_id: str) -> int:
        """Return how many members the product has now, including the administrator (R36)."""

    async def delete(self, subscription_id: str) -> None:
        """Delete the workspace within the transaction that records the erasure; an error rolls it back."""


class PostgresWorkspaceProvisioner:
    """Adapter that writes workspaces as rows, for a product that reads them from the same database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, workspace: Workspace) -> None:
        # A late retry must not recreate an erased workspace, so the state of the subscription's row decides.
        await self._pool.execute(
            """
            INSERT INTO workspaces
                (subscription_id, account_name, region, platform, plan, members, access, version)
            SELECT subscription_id, $2, $3, $4, $5, $6::integer, $7, $8::integer
              FROM subscriptions WHERE subscription_id = $1 AND state <> 'ERASED' FOR SHARE
            ON CONFLICT (subscription_id) DO UPDATE
               SET account_name = EXCLUDED.account_name, plan = EXCLUDED.plan, members = EXCLUDED.members,
                   access = EXCLUDED.access, version = EXCLUDED.version
             WHERE workspaces.version < EXCLUDED.version
            """,
            workspace.subscription_id,
            workspace.account_name,
            workspace.region,
            workspace.platform,
            workspace.plan,
            workspace.members,
            workspace.access,
            workspace.version,
        )

    async def members_in_use(self, subscription_id: str) -> int:
        return await members_in_use(self._pool, subscription_id)

    async def delete(self, subscription_id: str) -> None:
        """Do nothing: `erase_personal_data` deletes and counts this row with the others."""


async def members_in_use(connection: Connection | Pool, subscription_id: str) -> int:
    """Return the members in use of the stand-in product, including the administrator (R36).

    In the transaction that records the start of a contract, more members than the contract's seats mean that
    the difference is locked.
    """
    members: int | None = await connection.fetchval(
        "SELECT members FROM members_in_use WHERE subscription_id = $1", subscription_id
    )
    return members or 0


def wanted_workspace(state: Subscription) -> Workspace:
    assert state.account is not None, "an erased subscription has no workspace"
    return Workspace(
        subscription_id=state.subscription_id,
        account_name=state.account.name,
        region=state.region,
        platform=state.platform,
        plan=state.plan,
        members=state.members,
        access=state.access,
        version=state.sequence,
    )
