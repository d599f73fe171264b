"""Refusals: a stable code, the parameters of its message, the message, and the invalid field.

A code with several messages has a `reason` for each of them. `SENTENCES` has the English templates of all
messages and is the only place for them. Other languages format their own templates with the same parameters.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from subscription.messages import Parameters, Plain, Value, as_parameters, fill_template
from subscription.model import Frozen


class RefusalCode(StrEnum):
    """The refusal codes. They are a public interface: `ApplicationError.type` and `code` in JSON."""

    # The input cannot be parsed, or a value is invalid.
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    INVALID_VALUE = "INVALID_VALUE"
    INVALID_DATE = "INVALID_DATE"
    INVALID_INSTANT = "INVALID_INSTANT"
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND"
    KEY_UNKNOWN = "KEY_UNKNOWN"
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
    INVALID_START = "INVALID_START"
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
    CATALOGUE_NOT_PUBLISHABLE = "CATALOGUE_NOT_PUBLISHABLE"
    # Dates and reservations (R16, R27-R29, R32).
    DATE_IN_THE_PAST = "DATE_IN_THE_PAST"
    DATE_TOO_LATE = "DATE_TOO_LATE"
    SWITCH_RESERVED = "SWITCH_RESERVED"
    CANCELLATION_RESERVED = "CANCELLATION_RESERVED"
    NOTHING_RESERVED = "NOTHING_RESERVED"
    CHANGED_MEANWHILE = "CHANGED_MEANWHILE"
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
    REVERSED_TOO_MUCH = "REVERSED_TOO_MUCH"
    ADJUSTMENT_ID_REUSED = "ADJUSTMENT_ID_REUSED"
    MONTH_NOT_ENDED = "MONTH_NOT_ENDED"
    INVOICE_NOT_FOUND = "INVOICE_NOT_FOUND"
    NOTICE_NOT_FOUND = "NOTICE_NOT_FOUND"
    RECONCILIATION_NOT_FOUND = "RECONCILIATION_NOT_FOUND"
    # Time and identity (R22, R33).
    COMMAND_ID_REUSED = "COMMAND_ID_REUSED"
    TOO_MANY_SIGNALS = "TOO_MANY_SIGNALS"
    TRY_AGAIN = "TRY_AGAIN"
    CLOCK_PASSED = "CLOCK_PASSED"
    NO_TEST_CLOCK = "NO_TEST_CLOCK"


SENTENCES: Mapping[str, str] = {
    # A refusal with problems: its message consists of the messages of its problems.
    "INVALID_ARGUMENT": "The argument cannot be read.",
    "REQUEST_REFUSED": "The request cannot be accepted.",
    # The input cannot be parsed.
    "INVALID_ARGUMENT.NOT_AN_OBJECT": "The argument must be one JSON object of named fields.",
    "INVALID_ARGUMENT.FINGERPRINT": (
        "The fingerprint must be text; without one, the original response is returned."
    ),
    "INVALID_ARGUMENT.TOO_MUCH": "The argument has too many values.",
    "REQUEST_REFUSED.NOT_AN_OBJECT": "The request must be an object of named fields.",
    "REQUEST_REFUSED.TOO_MUCH": "The request has too many values.",
    "REQUEST_REFUSED.NOT_YOURS": "customer_id must be your own customer ID, or be omitted.",
    "UNKNOWN_COMMAND": "There is no such command. Valid commands: %(commands)s.",
    "KEY_UNKNOWN": "The input is encrypted with the key %(key_id)s, which this service does not have.",
    "CANCEL_BY_COMMAND": (
        "This does not cancel the subscription. Send the command cancel, with a date and the confirmation."
    ),
    "MISSING_FIELD": "is missing",
    "MISSING_FIELD.CUSTOMER": "Name the customer: customer_id=C-1000482.",
    "MISSING_FIELD.OF_FROM_SEQUENCE": "from_sequence needs the subscription_id of its events.",
    "MISSING_FIELD.DAY": "Name the day: on=2027-07-01.",
    "UNKNOWN_FIELD": "is an unknown field",
    "UNKNOWN_FIELD.NOT_FOR_A_FILE": "must not be in a file: type it, or pipe it in with --password-stdin",
    "UNKNOWN_FIELD.HASH_NOT_FOR_A_FILE": (
        "must not be in a file: type the password, or pipe it in with --password-stdin"
    ),
    "UNKNOWN_FIELD.FOR_SIMULATIONS": "is only for simulations: see `worksub simulate`",
    "WRONG_TYPE.OBJECT": "must be an object of named fields",
    "WRONG_TYPE.LIST": "must be a list",
    "WRONG_TYPE.WHOLE_NUMBER": "must be a whole number, without quotes",
    "WRONG_TYPE.TEXT": "must be text, in quotes if it looks like a number",
    "WRONG_TYPE.TRUTH": "must be true or false",
    "WRONG_TYPE.OTHER": "%(found)s",
    "INVALID_VALUE.OTHER": "%(found)s",
    "INVALID_VALUE.EXPECTED": "must be %(expected)s",
    "INVALID_VALUE.NAMES_NOTHING": "must be one of %(plans)s; there is no %(found)s",
    "INVALID_VALUE.QUERY_NAMES_NOTHING": "compares %(attribute)s with %(found)s; its values are %(expected)s",
    "INVALID_VALUE.AT_LEAST": "must be %(least)s or more",
    "INVALID_VALUE.AT_MOST": "must be %(most)s or less",
    "INVALID_VALUE.TOO_SHORT": "must have %(least)s characters or more",
    "INVALID_VALUE.TOO_LONG": "must have %(most)s characters or fewer",
    "INVALID_VALUE.NULL_CHARACTER": "must not have null characters",
    "INVALID_VALUE.INVISIBLE": "must not have control or invisible characters",
    "INVALID_VALUE.GROUP_OR_DOMAIN": "must be either {group: …} or {domain: …}",
    "INVALID_VALUE.TERM_MISSING": "must have a term when it has a plan or members (none keeps both)",
    "INVALID_VALUE.ADJUSTED_BY_ZERO": "An adjustment of zero changes nothing.",
    "INVALID_VALUE.MORE_PROBLEMS": "has %(more)s more problems",
    "INVALID_VALUE.CHECK_INTERVALS_NOT_INCREASING": "must have check_intervals with increasing up_to_hours",
    "INVALID_VALUE.TWICE": "must not contain a number twice",
    "INVALID_VALUE.ANNUAL_ABOVE_LIST": "must not have an annual price above its list price",
    "INVALID_VALUE.NOT_IN_TIME_ORDER": "must be in time order: step %(number)s is too early",
    "INVALID_VALUE.AFTER_THE_END": "must not have steps after `until`",
    "INVALID_VALUE.NOT_A_STEP": "must each have `at` and one of the commands %(commands)s",
    "INVALID_VALUE.AT_BESIDE": "must have `at` next to the command, not in its argument",
    "INVALID_DATE": "must be a calendar date such as 2027-01-31",
    "INVALID_INSTANT": "must be a date and time such as 2027-01-01T09:00:00+09:00",
    "INVALID_INSTANT.NO_OFFSET": "must have an offset from UTC, as in 2027-01-01T09:00:00+09:00",
    "INVALID_INSTANT.OUT_OF_RANGE": "must lie between the years 1000 and 9900",
    "INVALID_INSTANT.TOO_FAR_AHEAD": "That time is more than 20 years after the last event.",
    # Requesting (R1-R10).
    "REQUEST_ID_REUSED": "This request_id was used for another request; choose a new one.",
    "INVALID_ID": "must be 1 to 100 letters, digits, '.', '_', ':' or '-', the first a letter or digit",
    "INVALID_ID.COMMAND": "must be 1 to 200 printable ASCII characters without spaces",
    "INVALID_ID.WORKFLOW": "The workflow ID must be %(prefix)s followed by 1 to 100 visible characters.",
    "INVALID_START.CRON_SCHEDULE": "The workflow was started with a cron schedule; start it without one.",
    "INVALID_START.RETRY_POLICY": "The workflow was started with a retry policy; start it without one.",
    "INVALID_START.TIMEOUT": (
        "The workflow was started with an execution or run timeout; start it without one."
    ),
    "INVALID_GROUP_NAME.LENGTH": "must have 2 to 22 characters",
    "INVALID_GROUP_NAME.CHARACTERS": (
        "must be of lowercase letters, digits and hyphens, with no hyphen first, last or twice in a row"
    ),
    "INVALID_GROUP_NAME.RESERVED": "must not be 'line' or 'admin'",
    "INVALID_GROUP_NAME.CONTAINS": "must not contain 'worksmobile' or 'lineworks'",
    "INVALID_DOMAIN_NAME.NOT_A_DOMAIN": (
        "must be a domain such as acme.co.kr, without a protocol, a path, a port, an '@', a space or a "
        "final dot"
    ),
    "INVALID_DOMAIN_NAME.TOO_LONG": "must have 253 characters at most",
    "INVALID_DOMAIN_NAME.ONE_LABEL": "must have two labels or more, as in acme.co.kr",
    "INVALID_DOMAIN_NAME.LABEL": (
        "must have labels of 1 to 63 letters, digits and hyphens, with no hyphen first or last"
    ),
    "INVALID_DOMAIN_NAME.DIGITS_LAST": "must not end in a label of digits alone",
    "INVALID_DOMAIN_NAME.NOT_ENCODABLE": "is not a valid internationalized domain name",
    "INVALID_DOMAIN_NAME.A_LABEL": "has a label that begins with 'xn--' and stands for no name",
    "INVALID_ADMIN_ID": "must be 2 to 40 lowercase English letters, digits, '.', '-' or '_'",
    "INVALID_PASSWORD.LENGTH": "must have 8 to 40 characters",
    "INVALID_PASSWORD.CHARACTERS": "must be of printable ASCII characters without spaces",
    "INVALID_PASSWORD.NO_UPPERCASE": "must have at least one uppercase letter",
    "INVALID_PASSWORD.NO_LOWERCASE": "must have at least one lowercase letter",
    "INVALID_PASSWORD.NO_DIGIT": "must have at least one digit",
    "INVALID_PASSWORD.CONSECUTIVE": ("must not have three consecutive characters, such as abc or 321"),
    "INVALID_PASSWORD.REPEATED": "must not have the same character three times in a row",
    "PASSWORDS_DIFFER": "was not the same both times; type it again",
    "INVALID_PASSWORD_HASH.FORM": "must be an Argon2id hash of the password: %(allowed)s",
    "INVALID_PASSWORD_HASH.COST": "must be an Argon2id hash of bounded cost: %(allowed)s",
    "INVALID_COMPANY_NAME.LENGTH": "must have 1 to 100 visible characters",
    "INVALID_COMPANY_NAME.INVISIBLE": "must not have control or invisible characters",
    "INVALID_PHONE": "must be a phone number such as 02-1234-5678 or +82 2-1234-5678",
    "SIMULATION_NOT_ALLOWED": "This service serves customers, so simulations are disabled: omit the time.",
    "NAME_TAKEN": "is taken; choose another name",
    "NAME_TAKEN.RENAME": "That name is taken; choose another name.",
    "NAME_UNCHANGED": "That is already the current name.",
    "RENAMED_TOO_RECENTLY": "The name was changed a short while ago; it can be changed from %(free_at)s.",
    "NO_PROOF_AWAITED": "No domain of this subscription is waiting for verification.",
    # What is sold (R2, R3, R19).
    "NOTHING_ON_SALE": "No catalogue is in force yet on this day.",
    "PLAN_NOT_SOLD": "There is no such plan on sale; there is %(plans)s.",
    "PLAN_NOT_SOLD.NONE": "No plan is on sale.",
    "PLAN_NOT_SOLD.ONE_OF": "must be one of %(plans)s",
    "TOO_MANY_MEMBERS": "There can be %(most_members)s at most.",
    "TOO_MANY_MEMBERS.AT_MOST": "must be %(most)s at most",
    "TERMS_NOT_AGREED.MISSING": "must agree to %(terms)s",
    "TERMS_NOT_AGREED.VERSIONS": "must name terms in the versions of the catalogue: %(terms)s",
    "TERMS_NOT_AGREED.MISSING_IN_UPGRADE": "An upgrade must agree to %(terms)s.",
    "TERMS_NOT_AGREED.VERSIONS_IN_UPGRADE": (
        "An upgrade must name terms in the versions of the catalogue: %(terms)s."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.CHANGED": (
        "%(version)s is published with other contents and never changes: give the new one a new `version` "
        "and a later `effective_from`"
    ),
    "CATALOGUE_NOT_PUBLISHABLE.NOT_LATER": (
        "must come into force after %(version)s, which does on %(date)s: set a later `effective_from`"
    ),
    "CATALOGUE_NOT_PUBLISHABLE.IN_THE_PAST": (
        "must not be before the day on which it is published, %(today)s: contracts have begun since at the "
        "prices in force"
    ),
    "CATALOGUE_NOT_PUBLISHABLE.RANK_CHANGED": (
        "must be %(rank)s as in version %(version)s: the rank of a plan never changes"
    ),
    "CATALOGUE_NOT_PUBLISHABLE.RANK_REUSED": (
        "is the rank of plans.%(plan)s since version %(version)s: choose a rank that no plan has ever had"
    ),
    # Dates and reservations (R16, R27-R29, R32).
    "DATE_IN_THE_PAST": "The date must be today, %(today)s, or later.",
    "DATE_TOO_LATE": "The latest possible date is %(latest)s.",
    "SWITCH_RESERVED": "A switch to paid is reserved for %(date)s; withdraw it first, or cancel today.",
    "CANCELLATION_RESERVED": "A cancellation is reserved for %(date)s; withdraw it first, or switch today.",
    "CHANGED_MEANWHILE": "The state, day or prices have changed since the preview. Check them and try again.",
    "NOTHING_RESERVED": "Neither a switch nor a cancellation is reserved.",
    "CONFIRMATION_DIFFERS": ("The confirmation must be the administrator's account, typed in full: ID@name."),
    # The state does not allow it (R24-R26).
    "ALREADY_PAID": "The subscription is on a paid plan already; upgrade it instead.",
    "NOT_YET_PAID.RENEWAL_OPTION": ("A renewal option can be chosen only after the switch to a paid plan."),
    "NOT_YET_PAID.UPGRADE": "An upgrade is possible only after the switch to a paid plan.",
    "NOT_AN_UPGRADE": (
        "An upgrade needs a higher plan, more members, or an annual contract in place of a monthly one."
    ),
    "LOWERED_BY_UPGRADE.PLAN": (
        "An upgrade cannot lower the plan; a renewal option can, at the end of the contract period."
    ),
    "LOWERED_BY_UPGRADE.MEMBERS": (
        "An upgrade cannot lower the members; a renewal option can, at the end of the contract period."
    ),
    "LOWERED_BY_UPGRADE.TERM": (
        "An upgrade cannot lower the term; a renewal option can, at the end of the contract period."
    ),
    "NOT_YET_STARTED": "The subscription has not started yet; try again in a moment.",
    "SUBSCRIPTION_ENDED": "The subscription has ended; it accepts no commands.",
    "SUBSCRIPTION_NOT_FOUND": "There is no subscription with that id.",
    # Ledgers, invoices and notices.
    "LINE_NOT_FOUND": "The ledger has no line with that key.",
    "ADJUSTED_TOO_MUCH": "At most %(left)s of that line can still be credited.",
    "ADJUSTED_TOO_MUCH.ADDED": "At most %(left)s can still be added to that line: no more than its amount.",
    "ADJUSTED_TOO_MUCH.AT_ONCE": "An adjustment can be at most %(left)s, the amount of the line.",
    "REVERSED_TOO_MUCH": (
        "At most %(left)s of earlier adjustments of that line can be reversed, with the opposite sign."
    ),
    "ADJUSTMENT_ID_REUSED": "This id was used for another adjustment; choose a new one.",
    "MONTH_NOT_ENDED": "The month has not ended yet.",
    "INVOICE_NOT_FOUND": "There is no invoice with that number.",
    "NOTICE_NOT_FOUND": "There is no notice with that number.",
    "RECONCILIATION_NOT_FOUND": "There has been no reconciliation yet.",
    "RECONCILIATION_NOT_FOUND.RUN": "There is no reconciliation run with that name.",
    # Time and identity (R22, R33).
    "COMMAND_ID_REUSED": "This id was used for another command; choose a new one.",
    "TOO_MANY_SIGNALS": "Refused signals on %(date)s without their own entries: %(more)s.",
    "TRY_AGAIN": "The subscription is busy and nothing has changed. Send the command again in a moment.",
    "CLOCK_PASSED": "The clock has passed that time: the last event was at %(last_at)s.",
    "NO_TEST_CLOCK": "Only a simulated subscription accepts a time.",
}
"""The templates by code, or by code and reason: `CODE.REASON`.

The message about a field has no subject: the field's name precedes it.
"""


class _Coded(Frozen):
    """A code with the parameters of its message. `message` is in English."""

    code: str
    reason: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    message: str
    field: str | None = None

    @property
    def key(self) -> str:
        """Return the key of the message's template."""
        return key_of(self.code, self.reason)


class Problem(_Coded):
    """A problem with one field. `field` is a dotted path, or None for the whole input."""

    @classmethod
    def of(
        cls, code: RefusalCode, field: str | None = None, /, *, reason: str | None = None, **values: Value
    ) -> "Problem":
        return cls(**_coded(code, field, reason, values))


class Refusal(_Coded):
    """A command or request that the rules refuse; nothing has changed.

    `judged_by_catalogue` is set if a newer catalogue may allow it.
    """

    code: RefusalCode
    problems: tuple[Problem, ...] = ()
    judged_by_catalogue: bool = False

    @classmethod
    def of(
        cls,
        code: RefusalCode,
        field: str | None = None,
        /,
        *,
        reason: str | None = None,
        judged_by_catalogue: bool = False,
        **values: Value,
    ) -> "Refusal":
        return cls(**_coded(code, field, reason, values), judged_by_catalogue=judged_by_catalogue)

    @classmethod
    def of_problems(
        cls, code: RefusalCode, problems: Sequence[Problem], *, whole: str, message: str | None = None
    ) -> "Refusal":
        """Return a refusal with these problems; `whole` is the subject of problems without a field."""
        return cls(
            code=code,
            message=message or f"{join_problems(problems, whole)}.",
            field=problems[0].field,
            problems=tuple(problems),
        )


def join_problems(problems: Iterable[Problem], whole: str) -> str:
    """Return the problems as one sentence without a full stop; `whole` replaces a missing field."""
    return "; ".join(f"{problem.field or whole} {problem.message}" for problem in problems)


class RefusalError(Exception):
    """Carries a refusal out of the function that refuses."""

    def __init__(self, refused: Refusal) -> None:
        super().__init__(refused.message)
        self.refused = refused


def refusal(
    code: RefusalCode,
    field: str | None = None,
    /,
    *,
    reason: str | None = None,
    judged_by_catalogue: bool = False,
    **values: Value,
) -> RefusalError:
    return RefusalError(
        Refusal.of(code, field, reason=reason, judged_by_catalogue=judged_by_catalogue, **values)
    )


def validation_error(
    code: RefusalCode, /, *, reason: str | None = None, **values: Value
) -> PydanticCustomError:
    """Return the error that a field's validator raises to refuse a value."""
    details = _coded(code, None, reason, values)
    return PydanticCustomError(
        code.value, "{message}", {name: details[name] for name in ("message", "reason", "parameters")}
    )


def key_of(code: str, reason: str | None) -> str:
    return f"{code}.{reason}" if reason else str(code)


def _coded(
    code: RefusalCode, field: str | None, reason: str | None, values: Mapping[str, Value]
) -> dict[str, Any]:
    parameters = as_parameters(values)
    return {
        "code": code.value,
        "reason": reason,
        "parameters": parameters,
        "message": fill_template(SENTENCES[key_of(code, reason)], parameters, Plain()),
        "field": field,
    }
