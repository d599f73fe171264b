"""Catalogue, name check and subscription requests (R1-R9)."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from pydantic import ValidationError

from entrypoints.api import examples
from entrypoints.api.dependencies import ADesk, AnIdempotencyKey, mark_replayed
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import ABody, described, fields_of
from starter.queries import Availability
from subscription.business_calendar import Day
from subscription.catalogue import Plan, Term, Trial
from subscription.model import Frozen
from subscription.refusals import Code, Refused, RefusedError, refuse
from subscription.request import Account, AccountName, Request
from subscription.timeline import RequestAnswer
from subscription.validation import check, problems_of

router = APIRouter(prefix="/v1", tags=["Requesting"])

# A request is named by its Idempotency-Key, and only simulations begin at another time.
_NOT_IN_BODIES = ("request_id", "simulated_at")
_BODY = described(Request, examples.REQUEST, without=_NOT_IN_BODIES, optional=["customer_id"])
_BODY_CODES = (
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.BODY_TOO_LARGE,
    Code.INVALID_ARGUMENT,
)


class OnSale(Frozen):
    """What can be requested today: plans with prices in KRW a member a month, and terms of service."""

    version: str
    effective_from: Day
    currency: str
    trial: Trial
    plans: dict[str, Plan]
    terms: tuple[Term, ...]
    max_members: int


class Verdict(Frozen):
    """Whether a request would be accepted as things stand, and all that is wrong with it if not."""

    acceptable: bool
    refused: Refused | None


@router.get(
    "/catalogue",
    responses=responses(Code.NOTHING_ON_SALE),
    summary="The catalogue in force today",
    description="Plans with their prices, and terms of service.",
)
async def get_catalogue(desk: ADesk) -> OnSale:
    sold = await desk.catalogue()
    if sold is None:
        raise refuse(Code.NOTHING_ON_SALE)
    return OnSale(
        version=sold.version,
        effective_from=sold.effective_from,
        currency=sold.currency,
        trial=sold.trial,
        plans=dict(sold.plans),
        terms=sold.terms,
        max_members=sold.account.max_members,
    )


@router.get(
    "/check-name",
    responses=responses(Code.INVALID_ARGUMENT),
    summary="Whether an account name is free",
    description="Checking takes nothing; only the request itself does (R5). One of `group` and `domain`.",
)
async def check_account_name(
    desk: ADesk,
    group: Annotated[str | None, Query(max_length=300, examples=["acme"])] = None,
    domain: Annotated[str | None, Query(max_length=300)] = None,
) -> Availability:
    return await desk.check_name(_account(group, domain))


@router.post(
    "/subscriptions",
    status_code=status.HTTP_201_CREATED,
    responses={
        201: {
            "headers": {"Location": {"description": "The subscription.", "schema": {"type": "string"}}},
            **examples.shown("request", 201)[201],
        },
        **responses(
            ApiCode.IDEMPOTENCY_KEY_MISSING,
            ApiCode.INVALID_IDEMPOTENCY_KEY,
            *_BODY_CODES,
            Code.REQUEST_REFUSED,
            Code.NAME_TAKEN,
            Code.NOTHING_ON_SALE,
            Code.REQUEST_ID_REUSED,
            ApiCode.NO_ANSWER,
        ),
    },
    openapi_extra=_BODY,
    summary="Request a subscription",
    description="The answer comes when the trial has started. `password_hash` is the Argon2id hash of the "
    "administrator's password, made where it was typed (R7): a password in the clear is never sent. A "
    "customer's key fills in `customer_id`; operators name it. Sent again under its `Idempotency-Key` a "
    "request that was accepted gives the first answer again; one that was refused is judged anew.",
)
async def request_subscription(
    desk: ADesk, key: AnIdempotencyKey, body: ABody, response: Response
) -> RequestAnswer:
    data = fields_of(body, apart_from=_NOT_IN_BODIES)
    replayed = await desk.has_requested(key)
    answer = await desk.request({**data, "request_id": key})
    mark_replayed(response, replayed)
    response.headers["Location"] = f"/v1/subscriptions/{answer.subscription_id}"
    return answer


@router.post(
    "/subscriptions/check",
    responses=responses(*_BODY_CODES, Code.REQUEST_REFUSED),
    openapi_extra=_BODY,
    summary="Check a request without making it",
    description="The answer has every problem of the request (R9). Nothing is kept.",
)
async def check_subscription_request(desk: ADesk, body: ABody) -> Verdict:
    data = fields_of(body, apart_from=_NOT_IN_BODIES)
    refused = await desk.check_request({**data, "request_id": f"check-{uuid.uuid4()}"})
    return Verdict(acceptable=refused is None, refused=refused)


def _account(group: str | None, domain: str | None) -> Account:
    given = {"group": group, "domain": domain}
    try:
        return check(AccountName, {kind: name for kind, name in given.items() if name is not None}).account
    except ValidationError as error:
        raise RefusedError(
            Refused.of_problems(Code.INVALID_ARGUMENT, problems_of(error), whole="the name")
        ) from None
