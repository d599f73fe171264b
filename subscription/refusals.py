"""Every way in which the rules say no: a stable code for programs, a sentence for people, the field."""

from enum import StrEnum

from subscription.model import Frozen


class Code(StrEnum):
    """The refusal codes. They are a public interface: `ApplicationError.type` and `code` in JSON."""

    # What was sent cannot be read, or is not a possible value.
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    INVALID_VALUE = "INVALID_VALUE"
    INVALID_DATE = "INVALID_DATE"
    INVALID_INSTANT = "INVALID_INSTANT"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    CANCEL_BY_COMMAND = "CANCEL_BY_COMMAND"
    # Requesting (R1-R10).
    REQUEST_REFUSED = "REQUEST_REFUSED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    INVALID_GROUP_NAME = "INVALID_GROUP_NAME"
    INVALID_DOMAIN_NAME = "INVALID_DOMAIN_NAME"
    INVALID_ADMIN_ID = "INVALID_ADMIN_ID"
    INVALID_PASSWORD = "INVALID_PASSWORD"
    PASSWORDS_DIFFER = "PASSWORDS_DIFFER"
    INVALID_PASSWORD_HASH = "INVALID_PASSWORD_HASH"
    INVALID_COMPANY_NAME = "INVALID_COMPANY_NAME"
    INVALID_PHONE = "INVALID_PHONE"
    INVALID_ID = "INVALID_ID"
    SIMULATION_NOT_ALLOWED = "SIMULATION_NOT_ALLOWED"
    NAME_TAKEN = "NAME_TAKEN"
    NAME_UNCHANGED = "NAME_UNCHANGED"
    RENAMED_TOO_RECENTLY = "RENAMED_TOO_RECENTLY"
    NO_PROOF_AWAITED = "NO_PROOF_AWAITED"
    # What is sold (R2, R3, R19).
    NOTHING_ON_SALE = "NOTHING_ON_SALE"
    PLAN_NOT_SOLD = "PLAN_NOT_SOLD"
    TOO_MANY_MEMBERS = "TOO_MANY_MEMBERS"
    TERMS_NOT_AGREED = "TERMS_NOT_AGREED"
    # Dates and reservations (R16, R27-R29, R32).
    DATE_IN_THE_PAST = "DATE_IN_THE_PAST"
    DATE_TOO_LATE = "DATE_TOO_LATE"
    SWITCH_RESERVED = "SWITCH_RESERVED"
    CANCELLATION_RESERVED = "CANCELLATION_RESERVED"
    NOTHING_RESERVED = "NOTHING_RESERVED"
    CONFIRMATION_DIFFERS = "CONFIRMATION_DIFFERS"
    # The state does not allow it (R24-R26).
    ALREADY_PAID = "ALREADY_PAID"
    NOT_YET_PAID = "NOT_YET_PAID"
    NOT_AN_UPGRADE = "NOT_AN_UPGRADE"
    LOWERED_BY_UPGRADE = "LOWERED_BY_UPGRADE"
    NOT_YET_STARTED = "NOT_YET_STARTED"
    SUBSCRIPTION_ENDED = "SUBSCRIPTION_ENDED"
    SUBSCRIPTION_NOT_FOUND = "SUBSCRIPTION_NOT_FOUND"
    # Ledgers, invoices and notices.
    LINE_NOT_FOUND = "LINE_NOT_FOUND"
    ADJUSTED_TOO_MUCH = "ADJUSTED_TOO_MUCH"
    ADJUSTMENT_ID_REUSED = "ADJUSTMENT_ID_REUSED"
    MONTH_NOT_ENDED = "MONTH_NOT_ENDED"
    INVOICE_NOT_FOUND = "INVOICE_NOT_FOUND"
    NOTICE_NOT_FOUND = "NOTICE_NOT_FOUND"
    RECONCILIATION_NOT_FOUND = "RECONCILIATION_NOT_FOUND"
    # Time and identity (R22, R33).
    COMMAND_ID_REUSED = "COMMAND_ID_REUSED"
    TOO_MANY_COMMANDS = "TOO_MANY_COMMANDS"
    CLOCK_PASSED = "CLOCK_PASSED"
    NO_TEST_CLOCK = "NO_TEST_CLOCK"


class Problem(Frozen):
    """One thing that is wrong with one field. `field` is a dotted path, or None for the whole."""

    field: str | None = None
    code: str
    message: str


class Refused(Frozen):
    """The rules said no, and nothing changed.

    `judged_by_catalogue` says that a newer catalogue could have allowed it.
    """

    code: Code
    message: str
    field: str | None = None
    problems: tuple[Problem, ...] = ()
    judged_by_catalogue: bool = False


class RefusedError(Exception):
    """A refusal on its way out of the function that found it."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def refuse(
    code: Code, message: str, field: str | None = None, *, judged_by_catalogue: bool = False
) -> RefusedError:
    return RefusedError(
        Refused(code=code, message=message, field=field, judged_by_catalogue=judged_by_catalogue)
    )
