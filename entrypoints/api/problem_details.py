"""Problem details (RFC 9457): codes, status codes, documents."""

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
    """What the API itself says, beside the refusal codes of the rules. A public interface as they are."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    OPERATORS_ONLY = "OPERATORS_ONLY"
    NO_SUCH_PATH = "NO_SUCH_PATH"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    MALFORMED_JSON = "MALFORMED_JSON"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
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
    WORKFLOW_LOST = "WORKFLOW_LOST"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    NO_ANSWER = "NO_ANSWER"
    FAULT = "FAULT"


_UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
_STATUS: Mapping[str, HTTPStatus] = {
    ApiCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ApiCode.OPERATORS_ONLY: HTTPStatus.FORBIDDEN,
    ApiCode.NO_SUCH_PATH: HTTPStatus.NOT_FOUND,
    ApiCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ApiCode.MALFORMED_JSON: HTTPStatus.BAD_REQUEST,
    ApiCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ApiCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
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
    ApiCode.WORKFLOW_LOST: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.WORKFLOW_PAUSED: HTTPStatus.CONFLICT,
    ApiCode.WORKFLOW_STUCK: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.TRY_AGAIN: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.KEY_UNKNOWN: HTTPStatus.SERVICE_UNAVAILABLE,
    ApiCode.NO_ANSWER: HTTPStatus.GATEWAY_TIMEOUT,
    ApiCode.FAULT: HTTPStatus.INTERNAL_SERVER_ERROR,
    **dict.fromkeys(
        (
            RefusalCode.SUBSCRIPTION_NOT_FOUND,
            RefusalCode.LINE_NOT_FOUND,
            RefusalCode.INVOICE_NOT_FOUND,
            RefusalCode.NOTICE_NOT_FOUND,
            RefusalCode.RECONCILIATION_NOT_FOUND,
        ),
        HTTPStatus.NOT_FOUND,
    ),
    # The state of things stands against it; the very same may be right at another time.
    **dict.fromkeys(
        (
            RefusalCode.NAME_TAKEN,
            RefusalCode.NAME_UNCHANGED,
            RefusalCode.RENAMED_TOO_RECENTLY,
            RefusalCode.NO_PROOF_AWAITED,
            RefusalCode.NOTHING_ON_SALE,
            RefusalCode.SWITCH_RESERVED,
            RefusalCode.CANCELLATION_RESERVED,
            RefusalCode.NOTHING_RESERVED,
            RefusalCode.CHANGED_MEANWHILE,
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
    ApiCode.FAULT,
    ApiCode.DATABASE_UNREACHABLE,
    ApiCode.TEMPORAL_UNREACHABLE,
)
"""What any question may be answered."""


def status_of(code: str) -> HTTPStatus:
    """The HTTP status of a code; what is wrong with what was sent is 422."""
    return _STATUS.get(code, _UNPROCESSABLE)


class ProblemDocument(Frozen):
    """Why the answer is no (RFC 9457). `code` is for programs, `detail` for people.

    `reason` tells the sentences of a code apart, `parameters` has what the sentence names.

    `problems` has all that is wrong where more than one thing can be; `field` is a dotted path.
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
    """The API's own no. `headers` go with the answer."""

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
    # In ASCII, for a field that a caller made up may be of what UTF-8 cannot write.
    content = json.dumps(problem.model_dump(mode="python"))
    return Response(content, problem.status, dict(headers or {}), MEDIA_TYPE)


def late(example: Any) -> str:
    """Return an example as text, which `description` reads again: FastAPI would drop its nulls."""
    return LATE + json.dumps(example)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: every answer that these codes make, beside those that any question may get."""
    return only_responses(*codes, *COMMON_CODES)


def only_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return, for OpenAPI, the answers that these codes make, and no others."""
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
    ApiCode.UNAUTHENTICATED: "Send a key that is in force: Authorization: Bearer wsk_….",
    ApiCode.OPERATORS_ONLY: "Only operators may ask this.",
    ApiCode.NO_SUCH_PATH: "There is no such path; /docs shows those that there are.",
    ApiCode.METHOD_NOT_ALLOWED: "This path does not take that method.",
    ApiCode.MALFORMED_JSON: "The body is not JSON.",
    ApiCode.UNSUPPORTED_MEDIA_TYPE: "The body must be application/json.",
    ApiCode.BODY_TOO_LARGE: "The body may have 65536 bytes at most.",
    ApiCode.IDEMPOTENCY_KEY_MISSING: "Send an Idempotency-Key, and the same one if you send this again.",
    ApiCode.INVALID_IDEMPOTENCY_KEY: "The Idempotency-Key must be 1 to 100 letters, digits, '.', '_', ':' or "
    "'-', the first a letter or digit.",
    ApiCode.INVALID_CURSOR: "This list has not given out the cursor.",
    ApiCode.INVALID_QUERY: "Temporal cannot read the query.",
    ApiCode.UNKNOWN_PARAMETER: "sate is not a query parameter of this path; known are cursor, kind, "
    "limit, state, subscription_id.",
    ApiCode.REPEATED_PARAMETER: "state may be given once only.",
    ApiCode.INVALID_URL: "The URL must begin with https://.",
    ApiCode.ENDPOINT_NOT_FOUND: "There is no webhook endpoint with that id.",
    ApiCode.TOO_MANY_ENDPOINTS: "A customer has 20 webhook endpoints at most; remove one first.",
    ApiCode.RATE_LIMITED: "There were too many requests with this key; go on after the time in Retry-After.",
    ApiCode.DATABASE_UNREACHABLE: "The database does not answer; try again in a moment.",
    ApiCode.TEMPORAL_UNREACHABLE: "Temporal does not answer; try again in a moment.",
    ApiCode.WORKFLOW_LOST: "The subscription cannot be asked at present; it is repaired at night.",
    ApiCode.WORKFLOW_PAUSED: "An operator has paused the subscription; nothing has changed. Send it again "
    "when the pause has ended.",
    ApiCode.WORKFLOW_STUCK: "The subscription cannot execute commands now; an operator must repair it.",
    ApiCode.NO_ANSWER: "There was no answer in time. It may still be carried out: send it again with the "
    "same Idempotency-Key.",
    ApiCode.FAULT: "This is a fault of the service; report it with the request_id.",
    RefusalCode.KEY_UNKNOWN: "The service and its workers have different keys; an operator compares them.",
    RefusalCode.SUBSCRIPTION_NOT_FOUND: "There is no subscription with that id.",
    RefusalCode.NAME_TAKEN: "account.group is taken; choose another name.",
    RefusalCode.REQUEST_REFUSED: "plan must be one of lite, basic, premium.",
    RefusalCode.ALREADY_PAID: "The subscription is on a paid plan already; upgrade it instead.",
    RefusalCode.NOT_YET_PAID: "An upgrade is possible only after the switch to a paid plan.",
    RefusalCode.DATE_TOO_LATE: "The latest possible date is 2028-01-01.",
    RefusalCode.COMMAND_ID_REUSED: "This Idempotency-Key was used for something else; choose a new one.",
    RefusalCode.REQUEST_ID_REUSED: "This Idempotency-Key was used for something else; choose a new one.",
}
