"""Exception handlers: every error becomes problem details (RFC 9457)."""

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from adapters.command_sender import WorkflowMissingError
from adapters.postgres.pool import CONNECTION_ERRORS
from adapters.temporal.encrypted_payload import UnknownKeyError
from adapters.temporal.rpc_errors import Outcome, is_paused, outcome_of
from entrypoints.api.dependencies import IDEMPOTENCY_KEY
from entrypoints.api.problem_details import (
    MESSAGES,
    ApiCode,
    ApiError,
    ProblemDocument,
    problem_details,
    problem_from_refusal,
    problem_response,
)
from starter.command_rate_limits import TooManyCommandsError
from starter.exports import TooManyExportsError
from starter.scoped_queries import OperatorsOnlyError, no_such_subscription
from starter.scoped_webhook_endpoints import TooManyEndpointsError
from starter.webhook_endpoints import EndpointNotFoundError
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.validation import problem_from

_RETRY_AFTER = {"Retry-After": "2"}

# In the API, the ID of a request or command is its idempotency key.
_IDEMPOTENCY_KEY_REFUSALS = (
    RefusalCode.REQUEST_ID_REUSED,
    RefusalCode.COMMAND_ID_REUSED,
    RefusalCode.ADJUSTMENT_ID_REUSED,
)

_log = logging.getLogger(__name__)


def add_handlers(api: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RefusalError: _refused,
        ApiError: _api_error,
        OperatorsOnlyError: _operators_only,
        EndpointNotFoundError: _no_such_endpoint,
        TooManyEndpointsError: _too_many_endpoints,
        TooManyCommandsError: _too_often,
        TooManyExportsError: _too_many_exports,
        RequestValidationError: _unreadable,
        HTTPException: _http_exception,
        WorkflowMissingError: _workflow_lost,
        RPCError: _temporal_error,
        UnknownKeyError: _key_unknown,
        RPCTimeoutOrCancelledError: _temporal_unavailable,
        RuntimeError: _not_connected,
        **dict.fromkeys(CONNECTION_ERRORS, _database_unavailable),
    }
    for error, handler in handlers.items():
        api.add_exception_handler(error, handler)


def internal_error_response(request_id: str) -> Response:
    """Return the response for an unhandled exception."""
    return error_response(ApiCode.INTERNAL_ERROR, request_id)


def error_response(code: ApiCode, request_id: str) -> Response:
    """Return the problem details of a code with its fixed message."""
    return problem_response(problem_details(code, MESSAGES[code], request_id=request_id))


def _id_of(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id


def _own(request: Request, code: ApiCode, field: str | None = None) -> ProblemDocument:
    return problem_details(code, MESSAGES[code], field=field, request_id=_id_of(request))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    refused = error.refused
    if refused.code is RefusalCode.KEY_UNKNOWN:
        return await _key_unknown(request, error)
    if refused.code in _IDEMPOTENCY_KEY_REFUSALS:
        message = "This Idempotency-Key was used for a different request. Use a new one."
        refused = refused.model_copy(update={"message": message, "field": IDEMPOTENCY_KEY})
    return problem_response(problem_from_refusal(refused, _id_of(request)))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    problem = problem_details(error.code, error.detail, field=error.field, request_id=_id_of(request))
    return problem_response(problem, error.headers)


async def _too_often(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyCommandsError)
    detail = "Rate limit of this command for this subscription exceeded. Retry after the time in Retry-After."
    problem = problem_details(ApiCode.RATE_LIMITED, detail, request_id=_id_of(request))
    return problem_response(problem, {"Retry-After": str(error.wait)})


async def _too_many_exports(request: Request, error: Exception) -> Response:
    detail = "A customer can have at most 2 exports in progress. Retry when one has ended."
    problem = problem_details(ApiCode.RATE_LIMITED, detail, request_id=_id_of(request))
    return problem_response(problem, {"Retry-After": "60"})


async def _operators_only(request: Request, error: Exception) -> Response:
    return problem_response(_own(request, ApiCode.OPERATORS_ONLY))


async def _no_such_endpoint(request: Request, error: Exception) -> Response:
    return problem_response(_own(request, ApiCode.ENDPOINT_NOT_FOUND))


async def _too_many_endpoints(request: Request, error: Exception) -> Response:
    return problem_response(_own(request, ApiCode.TOO_MANY_ENDPOINTS))


async def _unreadable(request: Request, error: Exception) -> Response:
    """Refuse an invalid path, query or header. FastAPI does not validate bodies; the domain model does."""
    assert isinstance(error, RequestValidationError)
    problems = tuple(
        problem_from(detail["type"], tuple(detail["loc"][1:]), detail["msg"], detail.get("ctx", {}))
        for detail in error.errors()
    )
    refused = Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems)
    return problem_response(problem_from_refusal(refused, _id_of(request)))


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: ApiCode.NOT_FOUND, 405: ApiCode.METHOD_NOT_ALLOWED, 413: ApiCode.PAYLOAD_TOO_LARGE}.get(
        error.status_code, ApiCode.MALFORMED_JSON
    )
    return problem_response(_own(request, code), error.headers)


async def _workflow_lost(request: Request, error: Exception) -> Response:
    _log.error("subscription is active in the database but has no workflow")
    return problem_response(_own(request, ApiCode.WORKFLOW_UNAVAILABLE), _RETRY_AFTER)


async def _temporal_error(request: Request, error: Exception) -> Response:
    """Classify an error of the Temporal server; the client has already retried transient errors."""
    assert isinstance(error, RPCError)
    if is_paused(error):
        return problem_response(_own(request, ApiCode.WORKFLOW_PAUSED))
    match outcome_of(error):
        case Outcome.RETRY:
            _log.error("workflow makes no progress", extra={"fields": {"status": error.status.name}})
            return problem_response(_own(request, ApiCode.WORKFLOW_STUCK), _RETRY_AFTER)
        case Outcome.REFUSED if error.status is RPCStatusCode.NOT_FOUND:
            return problem_response(problem_from_refusal(no_such_subscription().refused, _id_of(request)))
        case Outcome.REFUSED:
            raise error
    return await _temporal_unavailable(request, error)


async def _key_unknown(request: Request, error: Exception) -> Response:
    _log.error("payload encrypted with an unknown key")
    return problem_response(
        problem_details(
            RefusalCode.KEY_UNKNOWN, MESSAGES[RefusalCode.KEY_UNKNOWN], request_id=_id_of(request)
        )
    )


async def _temporal_unavailable(request: Request, error: Exception) -> Response:
    return problem_response(_own(request, ApiCode.TEMPORAL_UNREACHABLE), _RETRY_AFTER)


async def _not_connected(request: Request, error: Exception) -> Response:
    """Detect the RuntimeError that the SDK raises while its lazy client has not connected yet."""
    if "client connect" not in str(error):
        raise error
    return problem_response(_own(request, ApiCode.TEMPORAL_UNREACHABLE), _RETRY_AFTER)


async def _database_unavailable(request: Request, error: Exception) -> Response:
    return problem_response(_own(request, ApiCode.DATABASE_UNREACHABLE), _RETRY_AFTER)
