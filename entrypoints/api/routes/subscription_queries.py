"""Queries about one subscription. Most of them also work after its erasure."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from entrypoints.api import examples
from entrypoints.api.dependencies import ClientDep
from entrypoints.api.pagination import Cursor, Limit, Page, decode_numeric_cursor, make_page, whole
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.query_parameters import Members, Plan
from starter.client import CancellationQuote
from subscription.adjustment import Adjustment
from subscription.business_calendar import Day
from subscription.catalogue import Term
from subscription.contract import ContractTerm
from subscription.entitlements import Entitlements
from subscription.erasure_certificate import ErasureCertificate
from subscription.explain import Explanation
from subscription.forecast import ChangeQuote, QuoteKind, UpcomingEvent
from subscription.ledger import LedgerLine
from subscription.refusals import RefusalCode, refusal
from subscription.status import Status
from subscription.timeline import RecordedEntry

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Queries"])

_NOT_FOUND = responses(RefusalCode.SUBSCRIPTION_NOT_FOUND)
_CLOCK = responses(RefusalCode.SUBSCRIPTION_NOT_FOUND, ApiCode.TIMEOUT)
_PAGE = responses(RefusalCode.SUBSCRIPTION_NOT_FOUND, ApiCode.INVALID_CURSOR, RefusalCode.INVALID_ARGUMENT)


@router.get(
    "",
    responses={**examples.example_response("status"), **_NOT_FOUND},
    summary="Get the status of a subscription",
    description="Plan, members, contract, renewal option, reservation and next deadline, from the database.",
)
async def get_subscription(subscription_id: str, client: ClientDep) -> Status:
    return await client.status(subscription_id)


@router.get(
    "/entitlements",
    responses={**examples.example_response("entitlements"), **_NOT_FOUND},
    summary="Get the entitlements of a subscription",
    description="What the product grants: plan, functions, seats and access, from the database. Products "
    "poll this route with `If-None-Match`. `functions` is null if the catalogue does not list those of the "
    "plan. `locked_members` of the `members_in_use` have no seat: those that were added last (R36).",
)
async def get_entitlements(subscription_id: str, client: ClientDep) -> Entitlements:
    return await client.entitlements(subscription_id)


@router.get(
    "/timeline",
    responses={**examples.example_response("timeline"), **_PAGE},
    summary="List the timeline of a subscription",
    description="The events of the subscription in order, also after its erasure.",
)
async def list_timeline_entries(
    subscription_id: str, client: ClientDep, cursor: Cursor = None, limit: Limit = 100
) -> Page[RecordedEntry]:
    of = f"timeline {subscription_id}"
    found = await client.timeline(subscription_id, after=decode_numeric_cursor(of, cursor), limit=limit + 1)
    return make_page(found, limit, of, lambda entry: str(entry.sequence))


@router.get(
    "/ledger",
    responses={**examples.example_response("ledger"), **_NOT_FOUND},
    summary="List the ledger of a subscription",
    description="All charges. A ledger line is immutable; adjustments correct it.",
)
async def list_ledger_lines(subscription_id: str, client: ClientDep) -> Page[LedgerLine]:
    return whole(await client.ledger(subscription_id))


@router.get(
    "/explanations",
    responses={
        **examples.example_response("explanations"),
        **responses(
            RefusalCode.SUBSCRIPTION_NOT_FOUND, RefusalCode.LINE_NOT_FOUND, RefusalCode.INVALID_ARGUMENT
        ),
    },
    summary="Explain the calculation of ledger lines",
    description="The days, rates and fractions of all lines, or of the line with this `key` (R20).",
)
async def list_explanations(
    subscription_id: str, client: ClientDep, key: Annotated[str | None, Query(max_length=200)] = None
) -> Page[Explanation]:
    return whole(await client.explain(subscription_id, key))


@router.get(
    "/adjustments",
    responses=_NOT_FOUND,
    summary="List the adjustments of a ledger",
    description="The compensating lines in the order of their creation.",
)
async def list_adjustments(subscription_id: str, client: ClientDep) -> Page[Adjustment]:
    return whole(await client.adjustments(subscription_id))


@router.get(
    "/upcoming",
    responses={**examples.example_response("upcoming"), **_CLOCK},
    summary="List upcoming events",
    description="The next twelve events if no command is sent, each with the ledger lines that it will post.",
)
async def list_upcoming_events(subscription_id: str, client: ClientDep) -> Page[UpcomingEvent]:
    return whole(await client.upcoming(subscription_id))


@router.get(
    "/quote",
    responses={
        **examples.example_responses("quotes"),
        **responses(
            RefusalCode.SUBSCRIPTION_NOT_FOUND,
            RefusalCode.INVALID_ARGUMENT,
            RefusalCode.MISSING_FIELD,
            RefusalCode.SUBSCRIPTION_ENDED,
            RefusalCode.DATE_IN_THE_PAST,
            RefusalCode.DATE_TOO_LATE,
            RefusalCode.ALREADY_PAID,
            RefusalCode.NOT_YET_PAID,
            RefusalCode.NOT_AN_UPGRADE,
            RefusalCode.LOWERED_BY_UPGRADE,
            RefusalCode.PLAN_NOT_SOLD,
            RefusalCode.TOO_MANY_MEMBERS,
            RefusalCode.MEMBERS_IN_USE,
            ApiCode.TIMEOUT,
        ),
    },
    summary="Quote a cancellation, a switch or an upgrade",
    description="A quote changes nothing and is not charged. Cancellations and switches are quoted for the "
    "date `on`, upgrades for today. `term`, `plan` and `members` are those of the switch or the upgrade. "
    "`last_export_at` of a cancellation is the time of the last complete export (R37). A quote is refused "
    "with the same codes as the command.",
)
async def get_quote(
    subscription_id: str,
    client: ClientDep,
    on: Annotated[Day | None, Query(examples=["2027-07-01"])] = None,
    of: QuoteKind = QuoteKind.CANCELLATION,
    term: ContractTerm | None = None,
    plan: Plan = None,
    members: Members = None,
) -> Annotated[CancellationQuote | ChangeQuote, Field(discriminator="kind")]:
    match of:
        case QuoteKind.CANCELLATION:
            return await client.quote_cancellation(subscription_id, _given(on))
        case QuoteKind.SWITCH:
            return await client.quote_switch(subscription_id, _given(on), term, plan=plan, members=members)
        case QuoteKind.UPGRADE:
            return await client.quote_upgrade(subscription_id, plan=plan, members=members, term=term)


@router.get(
    "/required-terms",
    responses=_CLOCK,
    summary="List the required terms of service",
    description="The terms to which an upgrade must agree, in their current versions (R3).",
)
async def list_required_terms(subscription_id: str, client: ClientDep) -> Page[Term]:
    return whole(await client.required_terms(subscription_id))


@router.get(
    "/certificates",
    responses=_NOT_FOUND,
    summary="List the erasure certificates",
    description="The number of deleted rows by kind of data, and the time (R31). Empty before the erasure.",
)
async def list_erasure_certificates(subscription_id: str, client: ClientDep) -> Page[ErasureCertificate]:
    return whole(await client.certificates(subscription_id))


def _given(on: date | None) -> date:
    if on is None:
        raise refusal(RefusalCode.MISSING_FIELD, "on", reason="DAY")
    return on
