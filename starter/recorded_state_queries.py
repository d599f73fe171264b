"""Queries of recorded states with the price book, for decisions, confirmations and forecasts."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from adapters.postgres.price_book_repository import PRICE_BOOK_COLUMN, load_price_book, price_book_from_row
from adapters.postgres.workspace_provisioner import MEMBERS_IN_USE_COLUMN
from starter.status_queries import StatusQueries
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.state import Subscription


class RecordedState(NamedTuple):
    """The last recorded state, with what decisions and confirmations need.

    `members_in_use` includes the administrator (R36). `last_export_at` is the time of the last complete
    export (R37).
    """

    state: Subscription
    book: PriceBook
    members_in_use: int
    last_export_at: datetime | None


class RecordedStateQueries(StatusQueries):
    """The price book, and the recorded states that it applies to."""

    async def price_book(self) -> PriceBook:
        """Return the price book with all published catalogue versions."""
        return await load_price_book(self._pool)

    async def recorded_state(self, subscription_id: str) -> RecordedState:
        """Return the last recorded state, in one statement with what decisions and confirmations need."""
        [row] = await self._rows_of(
            subscription_id,
            f"""
            snapshot, {PRICE_BOOK_COLUMN}, {MEMBERS_IN_USE_COLUMN},
            (SELECT max(taken_at) FROM exports WHERE exports.subscription_id = $1) AS last_export_at
            """,  # noqa: S608 - a constant
        )
        last_export_at = row["last_export_at"]
        return RecordedState(
            Subscription.model_validate_json(row["snapshot"]),
            price_book_from_row(row),
            row["members_in_use"],
            last_export_at and last_export_at.astimezone(KST),
        )

    async def recorded_states(self, ids: Sequence[str], book: PriceBook) -> dict[str, RecordedState]:
        """Return the last recorded states of these subscriptions, without unknown IDs. For operators."""
        self._check_operator()
        rows = await self._pool.fetch(
            f"""
            SELECT subscription_id, snapshot, {MEMBERS_IN_USE_COLUMN} FROM subscriptions AS subscription
             WHERE subscription_id = ANY($1)
            """,  # noqa: S608 - a constant
            list(ids),
        )
        return {
            row["subscription_id"]: RecordedState(
                Subscription.model_validate_json(row["snapshot"]), book, row["members_in_use"], None
            )
            for row in rows
        }
