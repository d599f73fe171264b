"""Paged search for subscriptions in PostgreSQL or Temporal visibility."""

import re
from collections.abc import Sequence
from heapq import nsmallest

from pydantic import Field
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from adapters.attention_copy import attention_of
from starter.filter_values import check_query
from starter.filters import Filters, supported_by_database, to_visibility_query
from starter.queries import SubscriptionQueries
from starter.subscription_summary import SubscriptionSummary
from subscription.attention import ATTENTION_MEMO, ShownAttention
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.model import Frozen

_TEMPORAL_PAGE_SIZE = 1000
_POSITION = re.compile(r" at position \d+")
"""Position of an error in the SELECT statement that Temporal makes of the query, not in the query itself."""


class SearchPage(Frozen):
    """A page of subscriptions in the order of their IDs; `total` is the number of all matches.

    `attention` contains the `NeedsAttention` reasons, if the search used Temporal. `next_cursor` is the
    cursor of the next page, None on the last page. `missing_in_database` are IDs in Temporal without a row in
    the database. `query` is the equivalent visibility query, None if there is none.
    """

    subscriptions: tuple[SubscriptionSummary, ...]
    missing_in_database: tuple[str, ...] = ()
    attention: dict[str, ShownAttention] = Field(default_factory=dict)
    total: int
    next_cursor: str | None
    query: str | None


class InvalidQueryError(Exception):
    """Temporal rejects the visibility query as invalid; the message is Temporal's, without a position."""


class SubscriptionSearch:
    def __init__(self, temporal: Client, queries: SubscriptionQueries) -> None:
        self._temporal = temporal
        self._queries = queries

    async def by_filters(self, selection: Filters, *, after: str, limit: int) -> SearchPage:
        """Return a page of the subscriptions that match all filters."""
        query = to_visibility_query(selection)
        if not supported_by_database(selection):
            assert query is not None, "each filter has a column or a search attribute"
            return await self._page(query, after, limit)
        # One row more than the page shows whether there is a next page.
        listed = await self._queries.select(selection, after=after, limit=limit + 1)
        return SearchPage(
            subscriptions=tuple(listed[:limit]),
            total=await self._queries.count(selection),
            next_cursor=listed[limit - 1].subscription_id if len(listed) > limit else None,
            query=query,
        )

    async def by_query(self, query: str, selection: Filters, *, after: str, limit: int) -> SearchPage:
        """Return a page of the active subscriptions that match a visibility query and all filters.

        Raises `InvalidQueryError`, and `RefusalError` for a value that its search attribute cannot have.
        """
        # The query is first checked without the filters, so that error messages refer to the user's text.
        await self._check(query)
        check_query(query, await self._queries.price_book())
        conditions = to_visibility_query(selection)
        assert conditions is not None
        return await self._page(f"({query}) AND {conditions}", after, limit)

    async def ids(self, selection: Filters, *, query: str | None, limit: int) -> Sequence[str]:
        """Return the IDs of the subscriptions that match all filters and the visibility query, in order.

        If there are more than `limit`, return any `limit` of them.
        """
        if query is None and supported_by_database(selection):
            return await self._queries.selected_ids(selection, limit=limit)
        conditions = to_visibility_query(selection)
        assert conditions is not None
        if query is not None:
            await self._check(query)
            check_query(query, await self._queries.price_book())
            conditions = f"({query}) AND {conditions}"
        await self._check(conditions)
        runs = self._temporal.list_workflows(conditions, page_size=_TEMPORAL_PAGE_SIZE)
        ids = set[str]()
        async for run in runs:
            ids.add(run.id.removeprefix(WORKFLOW_ID_PREFIX))
            if len(ids) == limit:
                break
        return sorted(ids)

    async def _page(self, query: str, after: str, limit: int) -> SearchPage:
        await self._check(query)
        # Temporal does not sort by workflow ID, so all IDs are read and one page is selected.
        runs = self._temporal.list_workflows(query, page_size=_TEMPORAL_PAGE_SIZE)
        matches: set[str] = set()
        marked: dict[str, WorkflowExecution] = {}
        async for run in runs:
            matches.add(subscription_id := run.id.removeprefix(WORKFLOW_ID_PREFIX))
            if ATTENTION_MEMO in run.raw_info.memo.fields:
                marked[subscription_id] = run
        ids = nsmallest(limit + 1, (id for id in matches if id > after))
        page = ids[:limit]
        rows = {row.subscription_id: row for row in await self._queries.listed(page)}
        return SearchPage(
            subscriptions=tuple(rows[id] for id in page if id in rows),
            missing_in_database=tuple(id for id in page if id not in rows),
            attention={
                id: ShownAttention.of(attention)
                for id in page
                if id in marked and (attention := await attention_of(marked[id]))
            },
            total=len(matches),
            next_cursor=page[-1] if len(ids) > limit else None,
            query=query,
        )

    async def _check(self, query: str) -> None:
        try:
            await self._temporal.count_workflows(query)
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            message = _POSITION.sub("", error.message.removeprefix("invalid query: "))
            raise InvalidQueryError(message) from None
