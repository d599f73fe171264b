"""Questions about one subscription; most are answered for ever, after its erasure too."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from starter.api import examples
from starter.api.asking import ADesk
from starter.api.paging import Cursor, Limit, Page, after_number, page_of
from starter.api.problems import ApiCode, responses
from subscription.adjustment import Adjustment
from subscription.catalogue import Term
from subscription.commands import ContractTerm
from subscription.effects import ErasureCertificate, TimelineEntry
from subscription.explain import Explanation
from subscription.forecast import ChangeQuote, Coming, Quote, QuoteOf
from subscription.ledger import LedgerLine
from subscription.refusals import Code, refuse
from subscription.status import Status

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["Questions"])

_NOT_FOUND = responses(Code.SUBSCRIPTION_NOT_FOUND)
_CLOCK = responses(Code.SUBSCRIPTION_NOT_FOUND, ApiCode.NO_ANSWER)
_PAGE = responses(Code.SUBSCRIPTION_NOT_FOUND, ApiCode.INVALID_CURSOR, Code.INVALID_ARGUMENT)


@router.get("", responses={**examples.shown("status"), **_NOT_FOUND}, summary="Where it stands")
async def status(subscription_id: str, desk: ADesk) -> Status:
    return await desk.status(subscription_id)


@router.get(
    "/timeline", responses={**examples.shown("timeline"), **_PAGE}, summary="What happened to it, in order"
)
async def timeline(
    subscription_id: str, desk: ADesk, cursor: Cursor = None, limit: Limit = 100
) -> Page[TimelineEntry]:
    found = await desk.timeline(subscription_id, after=after_number(cursor), limit=limit + 1)
    return page_of(found, limit, lambda entry: str(entry.sequence))


@router.get("/ledger", responses={**examples.shown("ledger"), **_NOT_FOUND}, summary="What was charged")
async def ledger(subscription_id: str, desk: ADesk) -> list[LedgerLine]:
    return await desk.ledger(subscription_id)


@router.get(
    "/explanations",
    responses={
        **examples.shown("explanations"),
        **responses(Code.SUBSCRIPTION_NOT_FOUND, Code.LINE_NOT_FOUND, Code.INVALID_ARGUMENT),
    },
    summary="Why each line of the ledger is what it is",
)
async def explanations(
    subscription_id: str, desk: ADesk, key: Annotated[str | None, Query(max_length=200)] = None
) -> list[Explanation]:
    return await desk.explain(subscription_id, key)


@router.get("/adjustments", responses=_NOT_FOUND, summary="What corrects the ledger")
async def adjustments(subscription_id: str, desk: ADesk) -> list[Adjustment]:
    return await desk.adjustments(subscription_id)


@router.get(
    "/upcoming",
    responses={**examples.shown("upcoming"), **_CLOCK},
    summary="What will happen if nothing is asked, with amounts",
)
async def upcoming(subscription_id: str, desk: ADesk) -> list[Coming]:
    return list(await desk.upcoming(subscription_id))


@router.get(
    "/quote",
    responses={
        **examples.shown_each("quotes"),
        **responses(
            Code.SUBSCRIPTION_NOT_FOUND,
            Code.INVALID_ARGUMENT,
            Code.MISSING_FIELD,
            Code.SUBSCRIPTION_ENDED,
            Code.DATE_IN_THE_PAST,
            Code.DATE_TOO_LATE,
            Code.ALREADY_PAID,
            Code.NOT_YET_PAID,
            Code.NOT_AN_UPGRADE,
            Code.LOWERED_BY_UPGRADE,
            Code.PLAN_NOT_SOLD,
            Code.TOO_MANY_MEMBERS,
            ApiCode.NO_ANSWER,
        ),
    },
    summary="What a cancellation, switch or upgrade would cost",
    description="Free, and changes nothing. A cancellation and a switch are quoted for the day `on`, an "
    "upgrade for today. `term`, `plan` and `members` are those of the switch or the upgrade. What would be "
    "refused is refused.",
)
async def quote(
    subscription_id: str,
    desk: ADesk,
    on: Annotated[date | None, Query(examples=["2027-07-01"])] = None,
    of: QuoteOf = QuoteOf.CANCELLATION,
    term: ContractTerm | None = None,
    plan: Annotated[str | None, Query(max_length=64)] = None,
    members: Annotated[int | None, Query(ge=1, le=10_000_000)] = None,
) -> Quote | ChangeQuote:
    match of:
        case QuoteOf.CANCELLATION:
            return await desk.quote_cancellation(subscription_id, _given(on))
        case QuoteOf.SWITCH:
            return await desk.quote_switch(subscription_id, _given(on), term, plan=plan, members=members)
        case QuoteOf.UPGRADE:
            return await desk.quote_upgrade(subscription_id, plan=plan, members=members, term=term)


@router.get("/required-terms", responses=_CLOCK, summary="The terms that an upgrade must agree to now")
async def required_terms(subscription_id: str, desk: ADesk) -> list[Term]:
    return list(await desk.required_terms(subscription_id))


@router.get("/certificates", responses=_NOT_FOUND, summary="What was erased, and when")
async def certificates(subscription_id: str, desk: ADesk) -> list[ErasureCertificate]:
    return await desk.certificates(subscription_id)


def _given(on: date | None) -> date:
    if on is None:
        raise refuse(Code.MISSING_FIELD, "on", reason="DAY")
    return on
