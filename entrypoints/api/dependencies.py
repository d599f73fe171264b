"""Route dependencies: authentication, rate limiting, idempotency key."""

from collections import Counter
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
from starter.scoped_client import ScopedClient
from subscription.request import is_opaque_id

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="A key as `worksub keys create` shows it once: `Authorization: Bearer wsk_…`.",
)
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENT_REPLAYED = "Idempotent-Replayed"
KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$"


def service_of(request: Request) -> AppState:
    service: AppState = request.app.state.service
    return service


ServiceDep = Annotated[AppState, Depends(service_of)]


async def key_of(
    request: Request,
    service: ServiceDep,
    sent: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> ApiKey:
    """The key that was sent, if it opens anything and has not asked too much."""
    key = await service.keys.opening(sent.credentials) if sent else None
    if key is None:
        refuse_sign_in(
            request.scope,
            SignInRefusal.CREDENTIALS_UNKNOWN if sent else SignInRefusal.CREDENTIALS_MISSING,
        )
        _check_rate(request, await service.rates.stranger(client_address(request.scope)))
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


async def check_query(request: Request, key: ApiKeyDep) -> None:
    """Refuse a query parameter that the route does not have, or that is given more than once."""
    route: APIRoute = request.scope["route"]
    fields = get_flat_params(route.dependant)
    known = sorted(each.alias for each in fields if isinstance(each.field_info, params.Query))
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if name not in known:
            those = f"known are {', '.join(known)}" if known else "there are none"
            detail = f"{name} is not a query parameter of this path; {those}."
            raise ApiError(ApiCode.UNKNOWN_PARAMETER, detail, name)
        if times > 1:
            raise ApiError(ApiCode.REPEATED_PARAMETER, f"{name} may be given once only.", name)


async def desk_of(service: ServiceDep, key: ApiKeyDep) -> ScopedClient:
    return ScopedClient(service.client, key.caller, service.command_rates)


ClientDep = Annotated[ScopedClient, Depends(desk_of)]


async def idempotency_key_of(
    sent: Annotated[
        str | None,
        Header(
            alias=IDEMPOTENCY_KEY,
            description="A name of your own for this request: sent again under it with the same body, "
            "the first answer comes again, and nothing is done twice.",
            examples=["8f14e45f-ceea-467f-a6d4-0c5ad1f5a3f1"],
        ),
    ] = None,
) -> str:
    if sent is None:
        raise ApiError(
            ApiCode.IDEMPOTENCY_KEY_MISSING, MESSAGES[ApiCode.IDEMPOTENCY_KEY_MISSING], IDEMPOTENCY_KEY
        )
    # The header's draft standard writes it as a string in quotes.
    key = sent[1:-1] if len(sent) > 1 and sent[0] == sent[-1] == '"' else sent
    if not is_opaque_id(key):
        raise ApiError(
            ApiCode.INVALID_IDEMPOTENCY_KEY, MESSAGES[ApiCode.INVALID_IDEMPOTENCY_KEY], IDEMPOTENCY_KEY
        )
    return key


def mark_replayed(response: Response, replayed: bool) -> None:
    """Say in the answer to a write that it is the first answer again."""
    if replayed:
        response.headers[IDEMPOTENT_REPLAYED] = "true"


IdempotencyKeyDep = Annotated[str, Depends(idempotency_key_of)]
