"""Codes for refused sign-ins: at the console, NAVER WORKS Admin, the API and the codec server."""

from enum import StrEnum

from starlette.types import Scope

CLOCK_LEEWAY_SECONDS = 10
"""A token is accepted for so long after its expiry, because the clocks of issuer and server may differ."""


class SignInRefusal(StrEnum):
    """A public interface: shown on pages, written to the log and counted. docs/errors.md explains each."""

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
        """True for failures of the deployment, which no caller can correct."""
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
    """Attach a refusal to the request; `entrypoints.http.request_log` logs and counts it with the answer.

    The log shows the kind of `error`, never its message. `issuer_error` is an error code of OAuth 2.0.
    """
    scope.setdefault("state", {})["sign_in_refusal"] = (code, error, issuer_error)
