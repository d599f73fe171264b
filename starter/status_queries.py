"""Queries of the recorded state of subscriptions, with few imports for `worksub status`."""

import contextlib
from collections.abc import Sequence
from datetime import datetime

from pydantic_core import PydanticCustomError

from adapters.postgres.erasure_certificates import certificate_from_row
from adapters.postgres.recorded_subscription import snapshot
from starter.scoped_queries import ScopedQueries, no_such_subscription
from starter.subscription_summary import SUMMARY_COLUMNS, SubscriptionSummary
from subscription.account_names import account_name
from subscription.attention import Attention, ShownAttention
from subscription.domain_verification import DomainPolicy
from subscription.erasure_certificate import ErasureCertificate
from subscription.state import Subscription
from subscription.status import Status, status_of

_MIN_PREFIX_LENGTH = 4
"""A shorter prefix of an ID would match many subscriptions."""


class StatusQueries(ScopedQueries):
    """The recorded state of subscriptions, and the meaning of short IDs."""

    async def find_snapshot(self, subscription_id: str) -> Subscription | None:
        """Return the last recorded state, or None."""
        return await snapshot(self._pool, subscription_id, self._customer_id)

    async def snapshot(self, subscription_id: str) -> Subscription:
        """Return the last recorded state."""
        state = await self.find_snapshot(subscription_id)
        if state is None:
            raise no_such_subscription()
        return state

    async def status(self, subscription_id: str) -> Status:
        [row] = await self._rows_of(
            subscription_id,
            """
            snapshot,
            (SELECT document ->> 'domain' FROM catalogue_versions ORDER BY number DESC LIMIT 1)
                AS domain_policy
            """,
        )
        return status_of(
            Subscription.model_validate_json(row["snapshot"]),
            DomainPolicy.model_validate_json(row["domain_policy"] or "{}"),
        )

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        """Return the erasure certificates: of the database, then of the workflow histories (R31)."""
        rows = await self._rows_of(
            subscription_id,
            "erased_at, rows",
            "LEFT JOIN erasure_certificates USING (subscription_id)",
            order="part",
        )
        return [certificate_from_row(subscription_id, row) for row in rows]

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention, or None. Workers copy the reason from Temporal."""
        self._check_operator()
        row = await self._pool.fetchrow(
            "SELECT kind, reason, since FROM attention WHERE subscription_id = $1", subscription_id
        )
        return ShownAttention.of(Attention.model_validate(dict(row))) if row else None

    async def snapshot_and_acceptance(
        self, subscription_id: str, command_id: str
    ) -> tuple[Subscription, datetime | None]:
        """Return the last recorded state, and when a command was last accepted under this ID.

        The time is that of the subscription's clock; None if there is no such command.
        """
        [row] = await self._rows_of(
            subscription_id,
            """
            snapshot,
            (SELECT max(effective_at)
               FROM command_answers JOIN lifecycle_events USING (subscription_id, sequence)
              WHERE subscription_id = $1 AND command_id = $3) AS accepted_at
            """,
            "",
            command_id,
        )
        return Subscription.model_validate_json(row["snapshot"]), row["accepted_at"]

    async def meant_by(self, reference: str, *, limit: int = 10) -> list[str]:
        """Return the IDs of the subscriptions that match a reference typed by a user, at most `limit`.

        A complete ID matches only itself. Otherwise the reference is a prefix of an ID (four characters or
        more), an account (admin@acme) or its name (acme).
        """
        if await self._exists(reference):
            return [reference]
        admin_id, at, name = reference.lower().rpartition("@")
        with contextlib.suppress(PydanticCustomError):
            name = account_name(name)
        prefix = reference if len(reference) >= _MIN_PREFIX_LENGTH else None
        rows = await self._pool.fetch(
            """
            SELECT subscription_id FROM account_names JOIN subscriptions USING (subscription_id)
             WHERE name = $2 AND ($3::text IS NULL OR snapshot ->> 'admin_id' = $3)
               AND ($5::text IS NULL OR customer_id = $5)
            UNION
            (SELECT subscription_id FROM subscriptions
              WHERE starts_with(subscription_id, $1) AND ($5::text IS NULL OR customer_id = $5) LIMIT $4)
            ORDER BY subscription_id LIMIT $4
            """,
            prefix,
            name,
            admin_id if at else None,
            limit,
            self._customer_id,
        )
        return [row["subscription_id"] for row in rows]

    async def of_account(self, admin_id: str, name: str, *, limit: int) -> list[str]:
        """Return the IDs of the subscriptions with this account, at most `limit`.

        Subscriptions that claim the same domain may have the same account. The one that holds the domain
        comes first, then the others by the age of their claims. A name that a rename waits for is ignored.
        """
        rows = await self._pool.fetch(
            """
            SELECT subscription_id FROM account_names JOIN subscriptions USING (subscription_id)
             WHERE name = $2 AND snapshot #>> '{account,name}' = $2 AND snapshot ->> 'admin_id' = $1
               AND ($4::text IS NULL OR customer_id = $4)
             ORDER BY status = 'HELD' DESC, reserved_since, subscription_id LIMIT $3
            """,
            admin_id,
            name,
            limit,
            self._customer_id,
        )
        return [row["subscription_id"] for row in rows]

    async def listed(self, ids: Sequence[str]) -> Sequence[SubscriptionSummary]:
        """Return the subscriptions with these IDs, in the given order, without unknown IDs."""
        rows = await self._pool.fetch(
            f"""
            SELECT {SUMMARY_COLUMNS} FROM subscriptions
             WHERE subscription_id = ANY($1) AND ($2::text IS NULL OR customer_id = $2)
            """,  # noqa: S608 - field names
            ids,
            self._customer_id,
        )
        found = {row["subscription_id"]: SubscriptionSummary.model_validate(dict(row)) for row in rows}
        return [found[id] for id in ids if id in found]
