"""Catalogue, name check and subscription requests (R1-R9)."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from pydantic import ValidationError

from entrypoints.api import examples
from entrypoints.api.dependencies import ClientDep, IdempotencyKeyDep, mark_replayed
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from starter.queries import NameAvailability
from subscription.business_calendar import Day
from subscription.catalogue import Plan, Term, TrialPolicy
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Account, AccountName, Request
from subscription.timeline import RequestAnswer
from subscription.validation import parse_strict, problems_from

router = APIRouter(prefix="/v1", tags=["Requesting"])

# A request is named by its Idempotency-Key, and only simulations begin at another time.
_NOT_IN_BODIES = ("request_id", "simulated_at")
_BODY = body_schema(Request, examples.REQUEST, without=_NOT_IN_BODIES, optional=["customer_id"])
_BODY_CODES = (
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.BODY_TOO_LARGE,
    RefusalCode.INVALID_ARGUMENT,
)


class CurrentCatalogue(Frozen):
    """What can be requested today: plans with prices in KRW a member a month, and terms of service."""

    version: str
    effective_from: Day
    currency: str
    trial: TrialPolicy
    plans: dict[str, Plan]
    terms: tuple[Term, ...]
    max_members: int


class RequestCheck(Frozen):
    """Whether a request would be accepted as things stand, and all that is wrong with it if not."""

    acceptable: bool
    refused: Refusal | None


@router.get(
    "/catalogue",
    responses=responses(RefusalCode.NOTHING_ON_SALE),
    summary="The catalogue in force today",
    description="Plans with their prices, and terms of service.",
)
async def get_catalogue(desk: ClientDep) -> CurrentCatalogue:
    sold = await desk.catalogue()
    if sold is None:
        raise refusal(RefusalCode.NOTHING_ON_SALE)
    return CurrentCatalogue(
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
    responses=responses(RefusalCode.INVALID_ARGUMENT),
    summary="Whether an account name is free",
    description="Checking takes nothing; only the request itself does (R5). One of `group` and `domain`.",
)
async def check_account_name(
    desk: ClientDep,
    group: Annotated[str | None, Query(max_length=300, examples=["acme"])] = None,
    domain: Annotated[str | None, Query(max_length=300)] = None,
) -> NameAvailability:
    return await desk.check_name(_account(group, domain))


@router.post(
    "/subscriptions",
    status_code=status.HTTP_201_CREATED,
    responses={
        201: {
            "headers": {"Location": {"description": "The subscription.", "schema": {"type": "string"}}},
            **examples.example_response("request", 201)[201],
        },
        **responses(
            ApiCode.IDEMPOTENCY_KEY_MISSING,
            ApiCode.INVALID_IDEMPOTENCY_KEY,
            *_BODY_CODES,
            RefusalCode.REQUEST_REFUSED,
            RefusalCode.NAME_TAKEN,
            RefusalCode.NOTHING_ON_SALE,
            RefusalCode.REQUEST_ID_REUSED,
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
    desk: ClientDep, key: IdempotencyKeyDep, body: JsonBodyDep, response: Response
) -> RequestAnswer:
    data = require_object(body, apart_from=_NOT_IN_BODIES)
    replayed = await desk.has_requested(key)
    answer = await desk.request({**data, "request_id": key})
    mark_replayed(response, replayed)
    response.headers["Location"] = f"/v1/subscriptions/{answer.subscription_id}"
    return answer


@router.post(
    "/subscriptions/check",
    responses=responses(*_BODY_CODES, RefusalCode.REQUEST_REFUSED),
    openapi_extra=_BODY,
    summary="Check a request without making it",
    description="The answer has every problem of the request (R9). Nothing is kept.",
)
async def check_subscription_request(desk: ClientDep, body: JsonBodyDep) -> RequestCheck:
    data = require_object(body, apart_from=_NOT_IN_BODIES)
    refused = await desk.check_request({**data, "request_id": f"check-{uuid.uuid4()}"})
    return RequestCheck(acceptable=refused is None, refused=refused)


def _account(group: str | None, domain: str | None) -> Account:
    given = {"group": group, "domain": domain}
    try:
        return parse_strict(
            AccountName, {kind: name for kind, name in given.items() if name is not None}
        ).account
    except ValidationError as error:
        raise RefusalError(
            Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error), whole="the name")
        ) from None
