"""Lists of subscriptions, invoices and notices."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator

from entrypoints.api.dependencies import ClientDep
from entrypoints.api.event_types import EventKind
from entrypoints.api.pagination import (
    Cursor,
    Limit,
    Page,
    decode_cursor,
    decode_numeric_cursor,
    encode_cursor,
    make_page,
)
from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError, responses
from entrypoints.api.query_parameters import Members, Month, Plan
from starter.filters import NAMED_FILTERS, Filters, list_filters, state_is
from starter.search import InvalidQueryError
from starter.subscription_summary import SubscriptionSummary
from subscription.account_names import account_name
from subscription.activity_contracts import CustomerEvent
from subscription.attention import ShownAttention
from subscription.business_calendar import Day, Instant, day_of
from subscription.contract import ContractTerm
from subscription.deadlines import DeadlineKind
from subscription.ids import opaque_id_pattern
from subscription.invoice import Invoice, InvoiceKind
from subscription.model import Frozen
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.refusals import RefusalCode
from subscription.state import Access, State

router = APIRouter(prefix="/v1", tags=["Lists"])

_PAGE = responses(ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT)
CustomerId = Annotated[
    str | None,
    Query(
        pattern=opaque_id_pattern(), description="Customer ID. A customer's key sees only its own customer."
    ),
]


def _account_name(name: str | None) -> str | None:
    return None if name is None else account_name(name)


@dataclass(frozen=True)
class SubscriptionFilter:
    """Filters by column. A range is half-open: from `…_from`, inclusive, to `…_before`, exclusive."""

    account_name: Annotated[
        str | None, AfterValidator(_account_name), Query(max_length=300, examples=["acme"])
    ] = None
    access: Access | None = None
    plan: Plan = None
    members: Members = None
    term: ContractTerm | None = None
    reservation: Literal["SWITCH_TO_PAID", "CANCELLATION"] | None = None
    next_deadline: DeadlineKind | None = None
    trial_ends_at_from: Instant | None = None
    trial_ends_at_before: Instant | None = None
    contract_to_from: Day | None = None
    contract_to_before: Day | None = None
    reservation_date_from: Day | None = None
    reservation_date_before: Day | None = None
    next_deadline_at_from: Instant | None = None
    next_deadline_at_before: Instant | None = None

    @property
    def selection(self) -> Filters:
        return list_filters(**vars(self))


@router.get(
    "/subscriptions",
    responses=_PAGE,
    summary="List subscriptions by ID",
    description="A subscription must match all filters.",
)
async def list_subscriptions(
    client: ClientDep,
    filters: Annotated[SubscriptionFilter, Depends()],
    state: State | None = None,
    customer_id: CustomerId = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[SubscriptionSummary]:
    found = await client.list(
        state=state,
        customer_id=customer_id,
        those=filters.selection,
        after=decode_cursor("subscriptions", cursor),
        limit=limit + 1,
    )
    return make_page(found, limit, "subscriptions", lambda subscription: subscription.subscription_id)


@router.get(
    "/events",
    responses=responses(
        RefusalCode.INVALID_ARGUMENT, RefusalCode.MISSING_FIELD, RefusalCode.SUBSCRIPTION_NOT_FOUND
    ),
    summary="List the events of all subscriptions of a customer",
    description="Events in the order in which they were recorded. To catch up, a client passes the `number` "
    "of the last event that it has processed as `after`. `next` is the `after` of the following page. "
    "No event appears later with a lower number. Operators must pass `customer_id`.",
)
async def list_events(
    client: ClientDep,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Number of the last event processed.")] = 0,
    event: Annotated[EventKind | None, Query(description="Only events of this type.")] = None,
    subscription_id: Annotated[str | None, Query(pattern=opaque_id_pattern())] = None,
    customer_id: CustomerId = None,
    limit: Limit = 50,
) -> Page[CustomerEvent]:
    found = await client.customer_events(
        customer_id, after=after, limit=limit + 1, event=event, subscription_id=subscription_id
    )
    items = found[:limit]
    return Page(items=tuple(items), next=str(items[-1].number) if len(found) > limit else None)


class NamedFilterParam(StrEnum):
    """Saved searches. Weeks and months are those of Korea (KST)."""

    TRIALS_ENDING = "trials-ending"
    RESERVATIONS_DUE = "reservations-due"
    CONTRACTS_ENDING = "contracts-ending"
    SUSPENDED = "suspended"
    RESTRICTED = "restricted"
    OVER_SEATS = "over-seats"
    NEEDS_ATTENTION = "needs-attention"


class SearchPage(Frozen):
    """Page of a search result with `total` subscriptions.

    `missing_in_database` are the IDs of workflows in Temporal without a row in the database. `query` is
    the same search in Temporal's visibility query language, null if that cannot express it. `attention` has
    the reasons of subscriptions with NeedsAttention, by ID. It is for operators, and empty if only the
    database was searched.
    """

    items: tuple[SubscriptionSummary, ...]
    next: str | None
    missing_in_database: tuple[str, ...]
    attention: dict[str, ShownAttention]
    total: int
    query: str | None


@router.get(
    "/find",
    responses=responses(
        ApiCode.INVALID_CURSOR, ApiCode.INVALID_QUERY, RefusalCode.INVALID_ARGUMENT, ApiCode.OPERATORS_ONLY
    ),
    summary="Search subscriptions by a saved search or a Temporal visibility query",
    description="A subscription must match all parameters. `query` is in Temporal's visibility query "
    'language, such as `Plan = "basic"`. It finds only subscriptions that are not erased, and requires an '
    "operator key.",
)
async def find_subscriptions(
    client: ClientDep,
    which: NamedFilterParam | None = None,
    query: Annotated[str | None, Query(min_length=1, max_length=2000)] = None,
    state: State | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> SearchPage:
    selection = NAMED_FILTERS[which].on(day_of(datetime.now(UTC))) if which else ()
    selection += state_is(state) if state else ()
    try:
        found = await client.find(selection, query=query, after=decode_cursor("find", cursor), limit=limit)
    except InvalidQueryError:
        raise ApiError(ApiCode.INVALID_QUERY, MESSAGES[ApiCode.INVALID_QUERY], "query") from None
    return SearchPage(
        items=found.subscriptions,
        next=encode_cursor("find", found.next_cursor) if found.next_cursor else None,
        missing_in_database=found.missing_in_database,
        attention=found.attention,
        total=found.total,
        query=found.query,
    )


@router.get(
    "/invoices",
    responses=_PAGE,
    summary="List invoices by number",
    description="Invoices and credit notes issued for past months.",
)
async def list_invoices(
    client: ClientDep,
    customer_id: CustomerId = None,
    month: Month | None = None,
    kind: InvoiceKind | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Invoice]:
    found = await client.invoices(
        customer_id=customer_id,
        month=month,
        kind=kind,
        after=decode_cursor("invoices", cursor),
        limit=limit + 1,
    )
    return make_page(found, limit, "invoices", lambda invoice: invoice.number)


@router.get(
    "/invoices/{number}",
    responses=responses(RefusalCode.INVOICE_NOT_FOUND, RefusalCode.INVALID_ARGUMENT),
    summary="Get an invoice",
    description="An invoice or a credit note, with a line for each charge.",
)
async def get_invoice(
    number: Annotated[str, Path(pattern=r"^[0-9]{4}-[0-9]{6,12}$", examples=["2027-000001"])],
    client: ClientDep,
) -> Invoice:
    return await client.invoice(number)


@router.get(
    "/notices",
    responses=responses(
        ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT, RefusalCode.SUBSCRIPTION_NOT_FOUND
    ),
    summary="List notices to customers by number",
    description="Notices that were sent, are queued, or failed.",
)
async def list_notices(
    client: ClientDep,
    state: NoticeState | None = None,
    kind: NoticeKind | None = None,
    subscription_id: Annotated[str | None, Query(pattern=opaque_id_pattern())] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[OutboxNotice]:
    found = await client.notices(
        state=state,
        kind=kind,
        subscription_id=subscription_id,
        after=decode_numeric_cursor("notices", cursor),
        limit=limit + 1,
    )
    return make_page(found, limit, "notices", lambda notice: str(notice.number))


@router.get(
    "/notices/{number}",
    responses=responses(RefusalCode.NOTICE_NOT_FOUND, RefusalCode.INVALID_ARGUMENT),
    summary="Get a notice",
    description="The recipient and the text are deleted when the subscription is erased.",
)
async def get_notice(number: Annotated[int, Path(ge=1, lt=2**63)], client: ClientDep) -> OutboxNotice:
    return await client.notice(number)
