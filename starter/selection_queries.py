"""Queries of many subscriptions: by filters, by ID, and the products of a customer."""

from collections.abc import Sequence

from starter.filter_values import check_selection, selects_by_plan
from starter.filters import Filters, customer_is, state_is, to_sql
from starter.products import ProductPage, list_erased, list_products
from starter.recorded_state_queries import RecordedStateQueries
from starter.subscription_summary import SUMMARY_COLUMNS, SubscriptionSummary
from subscription.state import State, Subscription

_COMMANDABLE = [state.value for state in State if state.accepts_commands]


class SelectionQueries(RecordedStateQueries):
    """Lists and numbers of subscriptions."""

    async def check_selection(self, selection: Filters) -> None:
        """Raise `RefusalError` if a filter contains a plan that was never published."""
        if selects_by_plan(selection):
            check_selection(selection, await self.price_book())

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        those: Filters = (),
        after: str = "",
        limit: int = 50,
    ) -> list[SubscriptionSummary]:
        """Return the subscriptions after the ID `after` that match all filters, in the order of their IDs.

        The database must be able to evaluate all filters.
        """
        selection = those + (state_is(state) if state else ())
        if customer_id is not None:
            selection += customer_is(customer_id)
        await self.check_selection(selection)
        return [*await self.select(selection, after=after, limit=limit)]

    async def select(self, selection: Filters, *, after: str, limit: int) -> Sequence[SubscriptionSummary]:
        """Return subscriptions as `list` does, for filters that are already checked."""
        condition, values = to_sql(self._with_customer(selection))
        rows = await self._pool.fetch(
            f"""
            SELECT {SUMMARY_COLUMNS} FROM subscriptions
             WHERE {condition} AND subscription_id > ${len(values) + 1}
             ORDER BY subscription_id LIMIT ${len(values) + 2}
            """,  # noqa: S608 - to_sql passes values only as parameters
            *values,
            after,
            limit,
        )
        return [SubscriptionSummary.model_validate(dict(row)) for row in rows]

    async def selected_ids(self, selection: Filters, *, limit: int) -> Sequence[str]:
        """Return the IDs of the selected subscriptions, at most `limit`, in order."""
        condition, values = to_sql(self._with_customer(selection))
        rows = await self._pool.fetch(
            f"""
            SELECT subscription_id FROM subscriptions
             WHERE {condition} ORDER BY subscription_id LIMIT ${len(values) + 1}
            """,  # noqa: S608 - as above
            *values,
            limit,
        )
        return [row["subscription_id"] for row in rows]

    async def count(self, selection: Filters) -> int:
        """Return the number of selected subscriptions."""
        condition, values = to_sql(self._with_customer(selection))
        return (
            await self._pool.fetchval(
                f"SELECT count(*) FROM subscriptions WHERE {condition}",  # noqa: S608 - as above
                *values,
            )
            or 0
        )

    async def count_commandable(self) -> int:
        """Return the number of subscriptions that accept commands. For operators."""
        self._check_operator()
        number: int | None = await self._pool.fetchval(
            "SELECT count(*) FROM subscriptions WHERE state = ANY($1::text[])", _COMMANDABLE
        )
        return number or 0

    async def commandable_states(self, *, after: str, limit: int) -> Sequence[Subscription]:
        """Return the subscriptions after the ID `after` that accept commands, by ID. For operators."""
        self._check_operator()
        rows = await self._pool.fetch(
            """
            SELECT snapshot FROM subscriptions
             WHERE state = ANY($1::text[]) AND subscription_id > $2 ORDER BY subscription_id LIMIT $3
            """,
            _COMMANDABLE,
            after,
            limit,
        )
        return [Subscription.model_validate_json(row["snapshot"]) for row in rows]

    async def products(self, *, name: str = "", after: str = "", limit: int = 50) -> ProductPage:
        """Return the customer's live subscriptions with this text in their names, newest first."""
        return await list_products(self._pool, self._own_customer(), name=name, after=after, limit=limit)

    async def erased_products(self, *, limit: int = 50) -> Sequence[Subscription]:
        """Return the customer's erased subscriptions, the latest first."""
        return await list_erased(self._pool, self._own_customer(), limit=limit)

    def _with_customer(self, selection: Filters) -> Filters:
        return selection + (customer_is(self._customer_id) if self._customer_id is not None else ())
