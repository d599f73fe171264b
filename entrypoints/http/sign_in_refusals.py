"""Codes for refused sign-ins: at the console, NAVER WORKS Admin, the API and the codec server."""

from enum import StrEnum

from starlette.types import Scope

CLOCK_LEEWAY_SECONDS = 10
"""Tolerated clock skew between issuer and server: a token is accepted this long after its expiry."""


class SignInRefusal(StrEnum):
    """Public codes: shown on pages, logged and counted in metrics. docs/errors.md explains each code."""

    ISSUER_UNREACHABLE = "ISSUER_UNREACHABLE"
    ISSUER_ANSWER_INVALID = "ISSUER_ANSWER_INVALID"
    CLIENT_REJECTED = "CLIENT_REJECTED"
    AUTHORIZATION_REFUSED = "AUTHORIZATION_REFUSED"
    SIGN_IN_NOT_STARTED = "SIGN_IN_NOT_STARTED"
    AUTHORIZATION_CODE_REJECTED = "AUTHORIZATION_CODE_REJECTED"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    CUSTOMER_ID_INVALID = "CUSTOMER_ID_INVALID"
    WRONG_PASSWORD = "WRONG_PASSWORD"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    TOO_MANY_SIGN_INS = "TOO_MANY_SIGN_INS"
    TOO_BUSY = "TOO_BUSY"
    NO_ACCESS = "NO_ACCESS"
    CREDENTIALS_MISSING = "CREDENTIALS_MISSING"
    CREDENTIALS_UNKNOWN = "CREDENTIALS_UNKNOWN"

    @property
    def is_for_operators(self) -> bool:
        """True for deployment failures, which only an operator can correct."""
        return self in FOR_OPERATORS


FOR_OPERATORS = frozenset(
    {
        SignInRefusal.ISSUER_UNREACHABLE,
        SignInRefusal.ISSUER_ANSWER_INVALID,
        SignInRefusal.CLIENT_REJECTED,
        SignInRefusal.TOKEN_INVALID,
    }
)


def refuse_sign_in(
    scope: Scope, code: SignInRefusal, error: BaseException | None = None, *, issuer_error: str | None = None
) -> None:
    """Attach a refused sign-in to the request; `entrypoints.http.request_log` logs and counts it.

    The log contains the class of `error`, never its message. `issuer_error` is an OAuth 2.0 error code.
    """
    scope.setdefault("state", {})["sign_in_refusal"] = (code, error, issuer_error)
