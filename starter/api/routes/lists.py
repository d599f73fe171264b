"""Lists: subscriptions, invoices and notices, page by page."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query

from starter.api.asking import ADesk
from starter.api.paging import Cursor, Limit, Page, after, after_number, cursor_at, page_of
from starter.api.problems import EXAMPLES, ApiCode, ApiError, responses
from starter.finding import InvalidQueryError
from starter.read_model import Listed
from starter.selection import READY_MADE, state_is
from subscription.calendar import day_of
from subscription.invoice import Invoice
from subscription.model import Frozen
from subscription.outbox import NoticeState, OutboxNotice
from subscription.refusals import Code
from subscription.state import State

router = APIRouter(prefix="/v1", tags=["Lists"])

_PAGE = responses(ApiCode.INVALID_CURSOR, Code.INVALID_ARGUMENT)
_OPAQUE = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"
CustomerId = Annotated[
    str | None, Query(pattern=_OPAQUE, description="One customer's. To a customer, only their own are there.")
]


@router.get(
    "/subscriptions",
    responses=_PAGE,
    summary="Subscriptions, in the order of their ids",
    description="Filters given beside each other must all hold.",
)
async def list_subscriptions(
    desk: ADesk,
    state: State | None = None,
    customer_id: CustomerId = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Listed]:
    found = await desk.list(state=state, customer_id=customer_id, after=after(cursor), limit=limit + 1)
    return page_of(found, limit, lambda each: each.subscription_id)


class Which(StrEnum):
    """Questions that are often asked, in weeks and months of Korea."""

    TRIALS_ENDING = "trials-ending"
    RESERVATIONS_DUE = "reservations-due"
    CONTRACTS_ENDING = "contracts-ending"
    SUSPENDED = "suspended"
    RESTRICTED = "restricted"
    NEEDS_ATTENTION = "needs-attention"


class SearchPage(Frozen):
    """A page of the subscriptions found, of `total` in all.

    `unrecorded` are ids that Temporal knows and the record does not. `query` is the same search in Temporal's
    visibility query language, null if that cannot express it.
    """

    items: tuple[Listed, ...]
    next: str | None
    unrecorded: tuple[str, ...]
    total: int
    query: str | None


@router.get(
    "/find",
    responses=responses(
        ApiCode.INVALID_CURSOR, ApiCode.INVALID_QUERY, Code.INVALID_ARGUMENT, ApiCode.OPERATORS_ONLY
    ),
    summary="Subscriptions by a ready-made question, or by Temporal's query language",
    description="What is given beside each other must all hold. `query` is in Temporal's visibility query "
    'language, of living subscriptions, as `Plan = "basic"`; only operators may use it.',
)
async def find_subscriptions(
    desk: ADesk,
    which: Which | None = None,
    query: Annotated[str | None, Query(min_length=1, max_length=2000)] = None,
    state: State | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> SearchPage:
    selection = READY_MADE[which].on(day_of(datetime.now(UTC))) if which else ()
    selection += state_is(state) if state else ()
    try:
        found = await desk.find(selection, query=query, after=after(cursor), limit=limit)
    except InvalidQueryError:
        raise ApiError(ApiCode.INVALID_QUERY, EXAMPLES[ApiCode.INVALID_QUERY], "query") from None
    return SearchPage(
        items=found.subscriptions,
        next=cursor_at(found.after) if found.after else None,
        unrecorded=found.unrecorded,
        total=found.total,
        query=found.query,
    )


@router.get(
    "/invoices",
    responses=_PAGE,
    summary="Invoices, in the order of their numbers",
    description="Invoices and credit notes that were issued for past months.",
)
async def list_invoices(
    desk: ADesk,
    customer_id: CustomerId = None,
    month: Annotated[date | None, Query(description="The first day of a month.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Invoice]:
    found = await desk.invoices(customer_id=customer_id, month=month, after=after(cursor), limit=limit + 1)
    return page_of(found, limit, lambda each: each.number)


@router.get(
    "/invoices/{number}",
    responses=responses(Code.INVOICE_NOT_FOUND, Code.INVALID_ARGUMENT),
    summary="An invoice",
    description="An invoice or a credit note, with a line for each charge.",
)
async def get_invoice(
    number: Annotated[str, Path(pattern=r"^[0-9]{4}-[0-9]{6,12}$", examples=["2027-000001"])], desk: ADesk
) -> Invoice:
    return await desk.invoice(number)


@router.get(
    "/notices",
    responses=_PAGE,
    summary="Notices to customers, in the order of their numbers",
    description="Notices that were sent, wait to be sent, or could not be.",
)
async def list_notices(
    desk: ADesk,
    state: NoticeState | None = None,
    subscription_id: Annotated[str | None, Query(pattern=_OPAQUE)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[OutboxNotice]:
    found = await desk.notices(
        state=state, subscription_id=subscription_id, after=after_number(cursor), limit=limit + 1
    )
    return page_of(found, limit, lambda each: str(each.number))


@router.get(
    "/notices/{number}",
    responses=responses(Code.NOTICE_NOT_FOUND, Code.INVALID_ARGUMENT),
    summary="A notice",
    description="Its recipient and text are there until the subscription is erased.",
)
async def get_notice(number: Annotated[int, Path(ge=1, lt=2**63)], desk: ADesk) -> OutboxNotice:
    return await desk.notice(number)
