"""The base of all queries: the caller's customer in each statement."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import ReadOnlyPool
from subscription.refusals import RefusalCode, RefusalError, refusal


class OperatorsOnlyError(Exception):
    """Authorization failed: a customer called an operation for operators only."""


def no_such_subscription() -> RefusalError:
    return refusal(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id")


class ScopedQueries:
    """Queries about the subscriptions of one customer, or of all customers if `customer_id` is None.

    Each read is one statement, which contains the customer ID. Another customer's data is therefore
    indistinguishable from missing data: the error is the same.

    Every method raises `RefusalError` if the rules refuse the call, `OperatorsOnlyError` if it needs
    unrestricted access, and `OSError` if the database is unreachable.
    """

    def __init__(self, pool: Pool, customer_id: str | None = None) -> None:
        self._pool = ReadOnlyPool(pool)
        self._customer_id = customer_id

    async def check_exists(self, subscription_id: str) -> None:
        """Raise `RefusalError` if there is no such subscription."""
        if not await self._exists(subscription_id):
            raise no_such_subscription()

    def _check_operator(self) -> None:
        if self._customer_id is not None:
            raise OperatorsOnlyError

    def _own_customer(self) -> str:
        assert self._customer_id is not None, "only customers have products"
        return self._customer_id

    async def _rows_of(
        self, subscription_id: str, columns: str, join: str = "", *arguments: object, order: str = ""
    ) -> Sequence[asyncpg.Record]:
        """Return the rows of a subscription; raise `RefusalError` if it does not exist.

        `join` is a LEFT JOIN, so a subscription without rows gives one row, whose first column is null.
        """
        rows = await self._pool.fetch(
            f"""
            SELECT {columns} FROM subscriptions AS subscription {join}
             WHERE subscription.subscription_id = $1
               AND ($2::text IS NULL OR subscription.customer_id = $2)
            {order and f"ORDER BY {order}"}
            """,  # noqa: S608 - the callers pass constants
            subscription_id,
            self._customer_id,
            *arguments,
        )
        if not rows:
            raise no_such_subscription()
        return [row for row in rows if row[0] is not None]

    async def _check_filter(self, subscription_id: str | None, rows: Sequence[Any]) -> None:
        """Raise `RefusalError` if a list is empty because its filter names an unknown subscription."""
        if subscription_id is not None and not rows:
            await self.check_exists(subscription_id)

    async def _exists(self, subscription_id: str) -> bool:
        exists: bool | None = await self._pool.fetchval(
            """
            SELECT true FROM subscriptions
             WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2)
            """,
            subscription_id,
            self._customer_id,
        )
        return bool(exists)
