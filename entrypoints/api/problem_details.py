"""Problem details (RFC 9457): error codes, HTTP status codes, documents."""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from pydantic import Field
from starlette.responses import Response

from subscription.messages import Parameters
from subscription.model import Frozen
from subscription.refusals import Problem, Refusal, RefusalCode

MEDIA_TYPE = "application/problem+json"
LATE = "example: "


class ApiCode(StrEnum):
    """Error codes of the API, in addition to the refusal codes of the domain. Both are a public interface."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    OPERATORS_ONLY = "OPERATORS_ONLY"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    MALFORMED_JSON = "MALFORMED_JSON"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    IDEMPOTENCY_KEY_MISSING = "IDEMPOTENCY_KEY_MISSING"
    INVALID_IDEMPOTENCY_KEY = "INVALID_IDEMPOTENCY_KEY"
    INVALID_CURSOR = "INVALID_CURSOR"
    INVALID_QUERY = "INVALID_QUERY"
    UNKNOWN_PARAMETER = "UNKNOWN_PARAMETER"
    REPEATED_PARAMETER = "REPEATED_PARAMETER"
    INVALID_URL = "INVALID_URL"
    ENDPOINT_NOT_FOUND = "ENDPOINT_NOT_FOUND"
    TOO_MANY_ENDPOINTS = "TOO_MANY_ENDPOINTS"
    RATE_LIMITED = "RATE_LIMITED"
    DATABASE_UNREACHABLE = "DATABASE_UNREACHABLE"
    TEMPORAL_UNREACHABLE = "TEMPORAL_UNREACHABLE"
    WORKFLOW_UNAVAILABLE = "WORKFLOW_UNAVAILABLE"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    TIMEOUT = "TIMEOUT"
    INTERNAL_ERROR = "INTERNAL_ERROR"


_UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
_STATUS: Mapping[str, HTTPStatus] = {
    ApiCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ApiCode.OPERATORS_ONLY: HTTPStatus.FORBIDDEN,
    ApiCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ApiCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ApiCode.MALFORMED_JSON: HTTPStatus.BAD_REQUEST,
    ApiCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ApiCode.IDEMPOTENCY_KEY_MISSING: HTTPStatus.BAD_REQUEST,
    ApiCode.INVALID_IDEMPOTENCY_KEY: HTTPStatus.BAD_REQUEST,
    ApiCode.INVALID_CURSOR: HTTPStatus.BAD_REQUEST,
    ApiCode.INVALID_QUERY: HTTPStatus.BAD_REQUEST,
    ApiCode.UNKNOWN_PARAMETER: HTTPStatus.BAD_REQUEST,
    ApiCode.REPEATED_PARAMETER: HTTPStatus.BAD_REQUEST,
    ApiCode.INVALID_URL: HTTPStatus.UNPROCESSABLE_ENTITY,
    ApiCode.ENDPOINT_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ApiCode.TOO_MANY_ENDPOINTS: HTTPStatus.CONFLICT,
    ApiCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ApiCode.DATABASE_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.TEMPORAL_UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.WORKFLOW_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.WORKFLOW_PAUSED: HTTPStatus.CONFLICT,
    ApiCode.WORKFLOW_STUCK: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.TRY_AGAIN: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.KEY_UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    ApiCode.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    **dict.fromkeys(
        (
            RefusalCode.SUBSCRIPTION_NOT_FOUND,
            RefusalCode.LINE_NOT_FOUND,
            RefusalCode.INVOICE_NOT_FOUND,
            RefusalCode.NOTICE_NOT_FOUND,
            RefusalCode.RECONCILIATION_NOT_FOUND,
            RefusalCode.BULK_RUN_NOT_FOUND,
        ),
        HTTPStatus.NOT_FOUND,
    ),
    RefusalCode.DATA_ERASED: HTTPStatus.GONE,
    # The current state does not allow the request; the same request can succeed at another time.
    **dict.fromkeys(
        (
            RefusalCode.NAME_TAKEN,
            RefusalCode.NAME_UNCHANGED,
            RefusalCode.RENAMED_TOO_RECENTLY,
            RefusalCode.NO_PROOF_AWAITED,
            RefusalCode.NOTHING_ON_SALE,
            RefusalCode.TOO_MANY_TRIALS,
            RefusalCode.SWITCH_RESERVED,
            RefusalCode.CANCELLATION_RESERVED,
            RefusalCode.NOTHING_RESERVED,
            RefusalCode.CHANGED_MEANWHILE,
            RefusalCode.PREVIEW_OUTDATED,
            RefusalCode.BULK_RUN_ENDED,
            RefusalCode.ALREADY_PAID,
            RefusalCode.NOT_YET_PAID,
            RefusalCode.NOT_YET_STARTED,
            RefusalCode.SUBSCRIPTION_ENDED,
            RefusalCode.ADJUSTED_TOO_MUCH,
            RefusalCode.REVERSED_TOO_MUCH,
            RefusalCode.MONTH_NOT_ENDED,
            RefusalCode.CLOCK_PASSED,
            RefusalCode.NO_TEST_CLOCK,
        ),
        HTTPStatus.CONFLICT,
    ),
}

COMMON_CODES = (
    ApiCode.UNKNOWN_PARAMETER,
    ApiCode.REPEATED_PARAMETER,
    ApiCode.UNAUTHENTICATED,
    ApiCode.RATE_LIMITED,
    ApiCode.INTERNAL_ERROR,
    ApiCode.DATABASE_UNREACHABLE,
    ApiCode.TEMPORAL_UNREACHABLE,
)
"""Error codes that every request can get."""


def status_of(code: str) -> HTTPStatus:
    """Return the HTTP status of a code; 422, for invalid input, is the default."""
    return _STATUS.get(code, _UNPROCESSABLE)


class ProblemDocument(Frozen):
    """Problem details (RFC 9457). `code` is the stable error code; `detail` is the message.

    `reason` distinguishes the messages of one code, and `parameters` has the values in the message.

    `problems` lists every invalid field of the request. `field` is a dotted path.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    field: str | None = None
    problems: tuple[Problem, ...] = ()
    request_id: str | None = None


class ApiError(Exception):
    """Refusal by the API, with an `ApiCode` and optional response headers."""

    def __init__(
        self, code: ApiCode, detail: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = headers


def problem_details(
    code: str,
    detail: str,
    *,
    field: str | None = None,
    problems: Iterable[Problem] = (),
    request_id: str | None = None,
) -> ProblemDocument:
    return ProblemDocument(
        type=f"urn:worksub:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status_of(code),
        detail=detail,
        code=code,
        field=field,
        problems=tuple(problems),
        request_id=request_id,
    )


def problem_from_refusal(refused: Refusal, request_id: str | None = None) -> ProblemDocument:
    return problem_details(
        refused.code,
        refused.message,
        field=refused.field,
        problems=refused.problems,
        request_id=request_id,
    ).model_copy(update={"reason": refused.reason, "parameters": refused.parameters})


def problem_response(problem: ProblemDocument, headers: Mapping[str, str] | None = None) -> Response:
    # ASCII output: a field name from the caller can contain lone surrogates, which UTF-8 cannot encode.
    content = json.dumps(problem.model_dump(mode="python"))
    return Response(content, problem.status, dict(headers or {}), MEDIA_TYPE)


def late(example: Any) -> str:
    """Return an example as JSON text, because FastAPI removes null values.

    `entrypoints.api.openapi_description` decodes the text.
    """
    return LATE + json.dumps(example)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these codes and of `COMMON_CODES`."""
    return only_responses(*codes, *COMMON_CODES)


def only_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these codes only."""
    by_status: dict[HTTPStatus, list[str]] = {}
    for code in codes:
        by_status.setdefault(status_of(code), []).append(code)
    return {status.value: _response(status, named) for status, named in sorted(by_status.items())}


def _response(status: HTTPStatus, codes: Sequence[str]) -> dict[str, Any]:
    return {
        "description": f"{status.phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                "examples": {
                    code: {
                        "value": late(problem_details(code, MESSAGES.get(code, "…")).model_dump(mode="json"))
                    }
                    for code in codes
                },
            }
        },
    }


MESSAGES: Mapping[str, str] = {
    ApiCode.UNAUTHENTICATED: "Send a valid API key: Authorization: Bearer wsk_….",
    ApiCode.OPERATORS_ONLY: "This requires an operator key.",
    ApiCode.NOT_FOUND: "Path not found. /docs lists all paths.",
    ApiCode.METHOD_NOT_ALLOWED: "This path does not support that method.",
    ApiCode.MALFORMED_JSON: "The body is not valid JSON.",
    ApiCode.UNSUPPORTED_MEDIA_TYPE: "The body must be application/json.",
    ApiCode.PAYLOAD_TOO_LARGE: "The body exceeds 65536 bytes.",
    ApiCode.IDEMPOTENCY_KEY_MISSING: "Send an Idempotency-Key header. Use the same key for retries.",
    ApiCode.INVALID_IDEMPOTENCY_KEY: "The Idempotency-Key must be 1 to 100 letters, digits, '.', '_', ':' or "
    "'-', the first a letter or digit.",
    ApiCode.INVALID_CURSOR: "The cursor is invalid for this list.",
    ApiCode.INVALID_QUERY: "Temporal refuses the query as invalid.",
    ApiCode.UNKNOWN_PARAMETER: "This path has no query parameter sate. Allowed: cursor, kind, limit, state, "
    "subscription_id.",
    ApiCode.REPEATED_PARAMETER: "Query parameter state is repeated.",
    ApiCode.INVALID_URL: "The URL must begin with https://.",
    ApiCode.ENDPOINT_NOT_FOUND: "Webhook endpoint not found.",
    ApiCode.TOO_MANY_ENDPOINTS: "A customer can have at most 20 webhook endpoints. Delete one first.",
    ApiCode.RATE_LIMITED: "Rate limit exceeded. Retry after the time in Retry-After.",
    ApiCode.DATABASE_UNREACHABLE: "The database is unavailable. Retry after the time in Retry-After.",
    ApiCode.TEMPORAL_UNREACHABLE: "Temporal is unavailable. Retry after the time in Retry-After.",
    ApiCode.WORKFLOW_UNAVAILABLE: "The workflow of this subscription is missing. The nightly reconciliation "
    "restarts it.",
    ApiCode.WORKFLOW_PAUSED: "An operator has paused the subscription; nothing has changed. Retry after the "
    "pause has ended.",
    ApiCode.WORKFLOW_STUCK: "The subscription cannot execute commands now. Retry with the same key; if this "
    "persists, an operator must repair it.",
    ApiCode.TIMEOUT: "The request timed out. It may still be executed: retry with the same Idempotency-Key.",
    ApiCode.INTERNAL_ERROR: "Internal error. Report it with the request_id.",
    RefusalCode.KEY_UNKNOWN: "The API and the workers have different encryption keys. An operator must fix "
    "this.",
    RefusalCode.SUBSCRIPTION_NOT_FOUND: "There is no subscription with that id.",
    RefusalCode.NAME_TAKEN: "account.group: This name is already taken. Choose another name.",
    RefusalCode.REQUEST_REFUSED: "plan: This plan is not on sale. Choose one of lite, basic, premium.",
    RefusalCode.ALREADY_PAID: "The subscription is already on a paid plan. Upgrade it instead.",
    RefusalCode.NOT_YET_PAID: "An upgrade is possible only after the switch to a paid plan.",
    RefusalCode.DATE_TOO_LATE: "The latest possible date is 2028-01-01.",
    RefusalCode.COMMAND_ID_REUSED: "This Idempotency-Key was used for a different request. Use a new one.",
    RefusalCode.REQUEST_ID_REUSED: "This Idempotency-Key was used for a different request. Use a new one.",
}
