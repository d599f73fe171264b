"""Exception handlers: every error becomes a problem document."""

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from adapters.postgres.pool import GOING
from adapters.temporal.encrypted_payload import UnknownKeyError
from adapters.temporal.rpc_errors import Outcome, is_paused, outcome_of
from entrypoints.api.dependencies import IDEMPOTENCY_KEY
from entrypoints.api.problem_details import (
    EXAMPLES,
    ApiCode,
    ApiError,
    ProblemDocument,
    answer,
    document,
    document_of,
)
from starter.command_rate_limits import TooManyCommandsError
from starter.commands import WorkflowLostError
from starter.read_model import no_such_subscription
from starter.scoped_client import OperatorsOnlyError
from starter.scoped_webhook_endpoints import TooManyEndpointsError
from starter.webhook_endpoints import NoSuchEndpointError
from subscription.refusals import Code, Refused, RefusedError
from subscription.validation import problem_of

_AGAIN = {"Retry-After": "2"}

# To callers of the API, the id of a request or a command is the key under which it was sent.
_OF_THE_KEY = (Code.REQUEST_ID_REUSED, Code.COMMAND_ID_REUSED, Code.ADJUSTMENT_ID_REUSED)

_log = logging.getLogger("worksub")


def add_handlers(api: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RefusedError: _refused,
        ApiError: _api_error,
        OperatorsOnlyError: _operators_only,
        NoSuchEndpointError: _no_such_endpoint,
        TooManyEndpointsError: _too_many_endpoints,
        TooManyCommandsError: _too_often,
        RequestValidationError: _unreadable,
        HTTPException: _http_exception,
        WorkflowLostError: _workflow_lost,
        RPCError: _temporal_error,
        UnknownKeyError: _key_unknown,
        RPCTimeoutOrCancelledError: _temporal_away,
        RuntimeError: _not_connected,
        **dict.fromkeys(GOING, _database_away),
    }
    for error, handler in handlers.items():
        api.add_exception_handler(error, handler)


def fault(request_id: str) -> Response:
    """The answer to what nobody has foreseen."""
    return own_answer(ApiCode.FAULT, request_id)


def own_answer(code: ApiCode, request_id: str) -> Response:
    """What the API says itself, in the words that are always the same."""
    return answer(document(code, EXAMPLES[code], request_id=request_id))


def _id_of(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id


def _own(request: Request, code: ApiCode, field: str | None = None) -> ProblemDocument:
    return document(code, EXAMPLES[code], field=field, request_id=_id_of(request))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    refused = error.refused
    if refused.code is Code.KEY_UNKNOWN:
        return await _key_unknown(request, error)
    if refused.code in _OF_THE_KEY:
        message = "This Idempotency-Key was used for something else; choose a new one."
        refused = refused.model_copy(update={"message": message, "field": IDEMPOTENCY_KEY})
    return answer(document_of(refused, _id_of(request)))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    problem = document(error.code, error.detail, field=error.field, request_id=_id_of(request))
    return answer(problem, error.headers)


async def _too_often(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyCommandsError)
    detail = "This command was sent too often for this subscription; go on after the time in Retry-After."
    problem = document(ApiCode.RATE_LIMITED, detail, request_id=_id_of(request))
    return answer(problem, {"Retry-After": str(error.wait)})


async def _operators_only(request: Request, error: Exception) -> Response:
    return answer(_own(request, ApiCode.OPERATORS_ONLY))


async def _no_such_endpoint(request: Request, error: Exception) -> Response:
    return answer(_own(request, ApiCode.ENDPOINT_NOT_FOUND))


async def _too_many_endpoints(request: Request, error: Exception) -> Response:
    return answer(_own(request, ApiCode.TOO_MANY_ENDPOINTS))


async def _unreadable(request: Request, error: Exception) -> Response:
    """A path, query or header that cannot be read: bodies are judged by the rules."""
    assert isinstance(error, RequestValidationError)
    problems = tuple(
        problem_of(one["type"], tuple(one["loc"][1:]), one["msg"], one.get("ctx", {}))
        for one in error.errors()
    )
    refused = Refused.of_problems(Code.INVALID_ARGUMENT, problems, whole="it")
    return answer(document_of(refused, _id_of(request)))


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: ApiCode.NO_SUCH_PATH, 405: ApiCode.METHOD_NOT_ALLOWED, 413: ApiCode.BODY_TOO_LARGE}.get(
        error.status_code, ApiCode.MALFORMED_JSON
    )
    return answer(_own(request, code), error.headers)


async def _workflow_lost(request: Request, error: Exception) -> Response:
    _log.error("The record has a subscription as living that no workflow carries.")
    return answer(_own(request, ApiCode.WORKFLOW_LOST), _AGAIN)


async def _temporal_error(request: Request, error: Exception) -> Response:
    """What is worth another try has been tried again before."""
    assert isinstance(error, RPCError)
    if is_paused(error):
        return answer(_own(request, ApiCode.WORKFLOW_PAUSED))
    match outcome_of(error):
        case Outcome.RETRY:
            _log.error("A workflow does not go on.", extra={"fields": {"status": error.status.name}})
            return answer(_own(request, ApiCode.WORKFLOW_STUCK), _AGAIN)
        case Outcome.REFUSED if error.status is RPCStatusCode.NOT_FOUND:
            return answer(document_of(no_such_subscription().refused, _id_of(request)))
        case Outcome.REFUSED:
            raise error
    return await _temporal_away(request, error)


async def _key_unknown(request: Request, error: Exception) -> Response:
    _log.error("Something in Temporal is encrypted with a key that this process does not have.")
    return answer(document(Code.KEY_UNKNOWN, EXAMPLES[Code.KEY_UNKNOWN], request_id=_id_of(request)))


async def _temporal_away(request: Request, error: Exception) -> Response:
    return answer(_own(request, ApiCode.TEMPORAL_UNREACHABLE), _AGAIN)


async def _not_connected(request: Request, error: Exception) -> Response:
    """How the SDK says that nobody answers at Temporal's address."""
    if "client connect" not in str(error):
        raise error
    return answer(_own(request, ApiCode.TEMPORAL_UNREACHABLE), _AGAIN)


async def _database_away(request: Request, error: Exception) -> Response:
    return answer(_own(request, ApiCode.DATABASE_UNREACHABLE), _AGAIN)
