"""Route dependencies: authentication, rate limiting, idempotency key."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response, Security, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from entrypoints.api.app_state import AppState
from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError
from entrypoints.api.rate_limits import Quota
from entrypoints.http.client_address import client_address
from entrypoints.http.sign_in_refusals import SignInRefusal, refuse_sign_in
from starter.api_keys import ApiKey
from starter.client import SubscriptionClient
from subscription.ids import is_opaque_id, opaque_id_pattern
from subscription.issuer import Channel, Issuer

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="API key, created with `worksub keys create` and shown once: `Authorization: Bearer wsk_…`.",
)
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENT_REPLAYED = "Idempotent-Replayed"
KEY_PATTERN = opaque_id_pattern()


def service_of(request: Request) -> AppState:
    service: AppState = request.app.state.service
    return service


ServiceDep = Annotated[AppState, Depends(service_of)]


async def key_of(
    request: Request,
    service: ServiceDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> ApiKey:
    """Authenticate the request and apply the rate limit of its API key, or of its address without one."""
    key = await service.keys.opening(credentials.credentials) if credentials else None
    if key is None:
        refuse_sign_in(
            request.scope,
            SignInRefusal.CREDENTIALS_UNKNOWN if credentials else SignInRefusal.CREDENTIALS_MISSING,
        )
        _check_rate(request, await service.rates.unauthenticated(client_address(request.scope)))
        raise ApiError(
            ApiCode.UNAUTHENTICATED,
            MESSAGES[ApiCode.UNAUTHENTICATED],
            headers={"WWW-Authenticate": 'Bearer realm="worksub"'},
        )
    request.state.key = key.prefix
    _check_rate(request, await service.rates.key(key.prefix))
    return key


def _check_rate(request: Request, quota: Quota) -> None:
    request.state.quota = quota
    if quota.wait is not None:
        headers = {"Retry-After": str(quota.wait)}
        raise ApiError(ApiCode.RATE_LIMITED, MESSAGES[ApiCode.RATE_LIMITED], headers=headers)


ApiKeyDep = Annotated[ApiKey, Depends(key_of)]


def slot(
    counter: Callable[[AppState], Counter[str]], limit: int, responses: str
) -> Callable[[AppState, ApiKey], AsyncIterator[None]]:
    """Return a dependency that counts the responses of an API key in progress, and limits them.

    It runs before the route, so the limit applies before any read. The refusal names the `responses`.
    """

    async def occupy_slot(service: ServiceDep, key: ApiKeyDep) -> AsyncIterator[None]:
        occupied = counter(service)
        occupied[key.prefix] += 1
        try:
            if occupied[key.prefix] > limit:
                raise ApiError(
                    ApiCode.RATE_LIMITED,
                    f"An API key can have at most {limit} {responses}.",
                    headers={"Retry-After": "60"},
                )
            yield
        finally:
            occupied[key.prefix] -= 1

    return occupy_slot


async def check_query(request: Request, key: ApiKeyDep) -> None:
    """Refuse a query parameter that the route does not have, or that is repeated."""
    route: APIRoute = request.scope["route"]
    fields = get_flat_params(route.dependant)
    allowed = sorted(field.alias for field in fields if isinstance(field.field_info, params.Query))
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if name not in allowed:
            choices = f"Allowed: {', '.join(allowed)}." if allowed else "It has no query parameters."
            detail = f"This path has no query parameter {name}. {choices}"
            raise ApiError(ApiCode.UNKNOWN_PARAMETER, detail, name)
        if count > 1:
            raise ApiError(ApiCode.REPEATED_PARAMETER, f"Query parameter {name} is repeated.", name)


async def scoped_client(service: ServiceDep, key: ApiKeyDep) -> SubscriptionClient:
    channel = Channel.OPERATOR if key.caller.is_operator else Channel.API
    return service.client.for_caller(key.caller, service.command_rates, Issuer.of(channel, key.label))


ClientDep = Annotated[SubscriptionClient, Depends(scoped_client)]


async def idempotency_key_of(
    header: Annotated[
        str | None,
        Header(
            alias=IDEMPOTENCY_KEY,
            description="Idempotency key, chosen by the client. A request that repeats a key with the same "
            "body returns the original response and has no further effect.",
            examples=["8f14e45f-ceea-467f-a6d4-0c5ad1f5a3f1"],
        ),
    ] = None,
) -> str:
    if header is None:
        raise ApiError(
            ApiCode.IDEMPOTENCY_KEY_MISSING, MESSAGES[ApiCode.IDEMPOTENCY_KEY_MISSING], IDEMPOTENCY_KEY
        )
    # draft-ietf-httpapi-idempotency-key-header defines the value as a quoted string.
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not is_opaque_id(key):
        raise ApiError(
            ApiCode.INVALID_IDEMPOTENCY_KEY, MESSAGES[ApiCode.INVALID_IDEMPOTENCY_KEY], IDEMPOTENCY_KEY
        )
    return key


def mark_replayed(response: Response, replayed: bool) -> None:
    """Add the header `Idempotent-Replayed` to a response that repeats the original one."""
    if replayed:
        response.headers[IDEMPOTENT_REPLAYED] = "true"


IdempotencyKeyDep = Annotated[str, Depends(idempotency_key_of)]
