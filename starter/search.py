"""Paged search for subscriptions in PostgreSQL or Temporal visibility."""

from heapq import nsmallest

from pydantic import Field
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from adapters.attention_copy import attention_of
from starter.filter_values import check_query
from starter.filters import Filters, supported_by_database, to_visibility_query
from starter.read_model import ReadModel, SubscriptionSummary
from subscription.attention import ATTENTION_MEMO, ShownAttention
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.model import Frozen

_PAGE_OF_TEMPORAL = 1000


class SearchPage(Frozen):
    """A page of subscriptions in the order of their ids, of `total` that there are in all.

    `attention` are the reasons of those that need attention, where Temporal was asked.
    `after` is the id after which the next page begins, None on the last one. `unrecorded` are ids that
    Temporal knows and the record does not. `query` asks the same of Temporal; None if Temporal cannot tell.
    """

    subscriptions: tuple[SubscriptionSummary, ...]
    unrecorded: tuple[str, ...] = ()
    attention: dict[str, ShownAttention] = Field(default_factory=dict)
    total: int
    after: str | None
    query: str | None


class InvalidQueryError(Exception):
    """Temporal cannot read a visibility query; the message is Temporal's."""


class SubscriptionSearch:
    def __init__(self, temporal: Client, read: ReadModel) -> None:
        self._temporal = temporal
        self._read = read

    async def selected(self, selection: Filters, *, after: str, limit: int) -> SearchPage:
        """Those of which all conditions hold."""
        query = to_visibility_query(selection)
        if not supported_by_database(selection):
            assert query is not None, "what the record does not know is a search attribute"
            return await self._by(query, after, limit)
        # One more than is shown tells whether there are more.
        listed = await self._read.list(selection, after=after, limit=limit + 1)
        return SearchPage(
            subscriptions=tuple(listed[:limit]),
            total=await self._read.count(selection),
            after=listed[limit - 1].subscription_id if len(listed) > limit else None,
            query=query,
        )

    async def asked(self, query: str, selection: Filters, *, after: str, limit: int) -> SearchPage:
        """The living ones for which a visibility query holds, and all conditions.

        Raises `InvalidQueryError`, and `RefusalError` for a value that its search attribute never has.
        """
        # First by itself, so that what is wrong is said of what was written.
        await self._check(query)
        check_query(query, await self._read.price_book())
        conditions = to_visibility_query(selection)
        assert conditions is not None
        return await self._by(f"({query}) AND {conditions}", after, limit)

    async def _by(self, query: str, after: str, limit: int) -> SearchPage:
        await self._check(query)
        # Temporal gives no order to page by, so all ids are read, and a page of them kept.
        runs = self._temporal.list_workflows(query, page_size=_PAGE_OF_TEMPORAL)
        found: set[str] = set()
        marked: dict[str, WorkflowExecution] = {}
        async for run in runs:
            found.add(subscription_id := run.id.removeprefix(WORKFLOW_ID_PREFIX))
            if ATTENTION_MEMO in run.raw_info.memo.fields:
                marked[subscription_id] = run
        ids = nsmallest(limit + 1, (each for each in found if each > after))
        shown = ids[:limit]
        rows = await self._read.listed(shown)
        return SearchPage(
            subscriptions=tuple(rows[each] for each in shown if each in rows),
            unrecorded=tuple(each for each in shown if each not in rows),
            attention={
                each: ShownAttention.of(attention)
                for each in shown
                if each in marked and (attention := await attention_of(marked[each]))
            },
            total=len(found),
            after=shown[-1] if len(ids) > limit else None,
            query=query,
        )

    async def _check(self, query: str) -> None:
        try:
            await self._temporal.count_workflows(query)
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            raise InvalidQueryError(error.message.removeprefix("invalid query: ")) from None
