"""Workspace provisioner: the port to the product, and its PostgreSQL implementation."""

from typing import Protocol

from adapters.postgres.pool import Pool
from subscription.model import Frozen
from subscription.state import Access, Subscription


class Workspace(Frozen):
    """What the product should be for a subscription; `version` tells a newer wish from an older one."""

    subscription_id: str
    account_name: str
    region: str
    platform: str
    plan: str
    members: int
    access: Access
    version: int


class WorkspaceProvisioner(Protocol):
    """Both calls may be repeated at any time, and a wish older than the last one changes nothing."""

    async def put(self, workspace: Workspace) -> None: ...

    async def delete(self, subscription_id: str) -> None:
        """Remove the workspace, within the transaction that records the erasure: if it fails, nothing is."""


class PostgresWorkspaceProvisioner:
    """Workspaces as rows, for a product that reads them from the same database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, workspace: Workspace) -> None:
        # A late attempt must not bring back what was erased, so the subscription's row decides.
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

    async def delete(self, subscription_id: str) -> None:
        """The row goes with all others of the subscription, and is counted with them."""


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
