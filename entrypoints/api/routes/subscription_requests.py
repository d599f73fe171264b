"""Catalogue, name check and subscription requests (R1-R9)."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from pydantic import ValidationError

from entrypoints.api import examples
from entrypoints.api.dependencies import ClientDep, IdempotencyKeyDep, mark_replayed
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.request_body import JsonBodyDep, body_schema, require_object
from starter.catalogue_queries import NameAvailability
from subscription.account import Account, AccountName
from subscription.business_calendar import Day
from subscription.catalogue import Plan, Term, TrialPolicy
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Request
from subscription.timeline import RequestAnswer
from subscription.validation import parse_strict, problems_from

router = APIRouter(prefix="/v1", tags=["Requests"])

# The ID of a request is its Idempotency-Key. Only simulations start at another time.
_NOT_IN_BODIES = ("request_id", "simulated_at", "issuer")
_BODY = body_schema(Request, examples.REQUEST, without=_NOT_IN_BODIES, optional=["customer_id"])
_BODY_CODES = (
    ApiCode.MALFORMED_JSON,
    ApiCode.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.PAYLOAD_TOO_LARGE,
    RefusalCode.INVALID_ARGUMENT,
)


class CurrentCatalogue(Frozen):
    """Plans on sale today, with monthly prices per member in KRW, and the terms of service.

    `max_members` is the limit of a subscription. Titles, texts and functions are in both languages.
    """

    version: str
    effective_from: Day
    currency: str
    trial: TrialPolicy
    plans: dict[str, Plan]
    terms: tuple[Term, ...]
    max_members: int


class RequestCheck(Frozen):
    """Result of validating a request: `refused` has every problem if the request is not acceptable."""

    acceptable: bool
    refused: Refusal | None


@router.get(
    "/catalogue",
    responses=responses(RefusalCode.NOTHING_ON_SALE),
    summary="Get the current catalogue",
    description="Plans with their prices and functions, and the terms of service with their texts, in Korean "
    "and English.",
)
async def get_catalogue(client: ClientDep) -> CurrentCatalogue:
    sold = await client.catalogue()
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
    summary="Check whether an account name is available",
    description="The check does not reserve the name; only the request does (R5). Pass either `group` or "
    "`domain`. A domain that is `CLAIMED` is available: others claim it too, and the first one to verify it "
    "has it.",
)
async def check_account_name(
    client: ClientDep,
    group: Annotated[str | None, Query(max_length=300, examples=["acme"])] = None,
    domain: Annotated[str | None, Query(max_length=300)] = None,
) -> NameAvailability:
    return await client.check_name(_account(group, domain))


@router.post(
    "/subscriptions",
    status_code=status.HTTP_201_CREATED,
    responses={
        201: {
            "headers": {
                "Location": {"description": "Path of the subscription.", "schema": {"type": "string"}}
            },
            **examples.example_response("request", 201)[201],
        },
        **responses(
            ApiCode.IDEMPOTENCY_KEY_MISSING,
            ApiCode.INVALID_IDEMPOTENCY_KEY,
            *_BODY_CODES,
            RefusalCode.REQUEST_REFUSED,
            RefusalCode.NAME_TAKEN,
            RefusalCode.TOO_MANY_TRIALS,
            RefusalCode.NOTHING_ON_SALE,
            RefusalCode.REQUEST_ID_REUSED,
            ApiCode.TIMEOUT,
        ),
    },
    openapi_extra=_BODY,
    summary="Request a subscription",
    description="The response is sent after the trial has started. `password_hash` is the Argon2id hash of "
    "the administrator's password, calculated where the password was entered (R7); the password itself is "
    "never sent. A customer's key sets `customer_id`; operators must pass it. Repeating the "
    "`Idempotency-Key` of an accepted request returns the original response. A refused request is validated "
    "again.",
)
async def request_subscription(
    client: ClientDep, key: IdempotencyKeyDep, body: JsonBodyDep, response: Response
) -> RequestAnswer:
    data = require_object(body, apart_from=_NOT_IN_BODIES)
    replayed = await client.has_requested(key)
    answer = await client.request({**data, "request_id": key})
    mark_replayed(response, replayed)
    response.headers["Location"] = f"/v1/subscriptions/{answer.subscription_id}"
    return answer


@router.post(
    "/subscriptions/check",
    responses=responses(*_BODY_CODES, RefusalCode.REQUEST_REFUSED),
    openapi_extra=_BODY,
    summary="Validate a subscription request without sending it",
    description="The response has every problem of the request (R9). Nothing is stored.",
)
async def check_subscription_request(client: ClientDep, body: JsonBodyDep) -> RequestCheck:
    data = require_object(body, apart_from=_NOT_IN_BODIES)
    refused = await client.check_request({**data, "request_id": f"check-{uuid.uuid4()}"})
    return RequestCheck(acceptable=refused is None, refused=refused)


def _account(group: str | None, domain: str | None) -> Account:
    names = {"group": group, "domain": domain}
    try:
        return parse_strict(
            AccountName, {kind: name for kind, name in names.items() if name is not None}
        ).account
    except ValidationError as error:
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error))) from None
