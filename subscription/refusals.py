"""Refusals: a stable code, the parameters of its message, the message, and the invalid field.

A code with several messages has a `reason` for each of them. `SENTENCES` has the English templates of all
messages, which are also the msgids of the translations.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from subscription.messages import Formatter, Message, Parameters, Value, as_parameters, format_message
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
    INVALID_EMAIL = "INVALID_EMAIL"
    INVALID_ID = "INVALID_ID"
    INVALID_START = "INVALID_START"
    SIMULATION_NOT_ALLOWED = "SIMULATION_NOT_ALLOWED"
    NAME_TAKEN = "NAME_TAKEN"
    NAME_UNCHANGED = "NAME_UNCHANGED"
    RENAMED_TOO_RECENTLY = "RENAMED_TOO_RECENTLY"
    NO_PROOF_AWAITED = "NO_PROOF_AWAITED"
    # What is sold (R2, R3, R19, R36).
    NOTHING_ON_SALE = "NOTHING_ON_SALE"
    PLAN_NOT_SOLD = "PLAN_NOT_SOLD"
    TOO_MANY_MEMBERS = "TOO_MANY_MEMBERS"
    MEMBERS_IN_USE = "MEMBERS_IN_USE"
    TOO_MANY_TRIALS = "TOO_MANY_TRIALS"
    TERMS_NOT_AGREED = "TERMS_NOT_AGREED"
    CATALOGUE_NOT_PUBLISHABLE = "CATALOGUE_NOT_PUBLISHABLE"
    PREVIEW_OUTDATED = "PREVIEW_OUTDATED"
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
    DATA_ERASED = "DATA_ERASED"
    # Ledgers, invoices and notices.
    LINE_NOT_FOUND = "LINE_NOT_FOUND"
    ADJUSTED_TOO_MUCH = "ADJUSTED_TOO_MUCH"
    REVERSED_TOO_MUCH = "REVERSED_TOO_MUCH"
    ADJUSTMENT_ID_REUSED = "ADJUSTMENT_ID_REUSED"
    MONTH_NOT_ENDED = "MONTH_NOT_ENDED"
    INVOICE_NOT_FOUND = "INVOICE_NOT_FOUND"
    NOTICE_NOT_FOUND = "NOTICE_NOT_FOUND"
    RECONCILIATION_NOT_FOUND = "RECONCILIATION_NOT_FOUND"
    # Bulk runs.
    BULK_RUN_NOT_FOUND = "BULK_RUN_NOT_FOUND"
    BULK_RUN_ENDED = "BULK_RUN_ENDED"
    TOO_MANY_SELECTED = "TOO_MANY_SELECTED"
    # Time and identity (R22, R33).
    COMMAND_ID_REUSED = "COMMAND_ID_REUSED"
    TOO_MANY_SIGNALS = "TOO_MANY_SIGNALS"
    TRY_AGAIN = "TRY_AGAIN"
    CLOCK_PASSED = "CLOCK_PASSED"
    NO_TEST_CLOCK = "NO_TEST_CLOCK"


SENTENCES: Mapping[str, str] = {
    # A refusal with problems: its message consists of the messages of its problems.
    "INVALID_ARGUMENT": "The input is not valid.",
    "REQUEST_REFUSED": "The request cannot be accepted.",
    # The input cannot be parsed.
    "INVALID_ARGUMENT.NOT_AN_OBJECT": "The argument must be one JSON object of named fields.",
    "INVALID_ARGUMENT.FINGERPRINT": (
        "The fingerprint must be text; without one, the original response is returned."
    ),
    "INVALID_ARGUMENT.TOO_MUCH": "The argument has too many values.",
    "REQUEST_REFUSED.NOT_AN_OBJECT": "The request must be an object of named fields.",
    "REQUEST_REFUSED.TOO_MUCH": "The request has too many values.",
    "REQUEST_REFUSED.NOT_YOURS": "Use your own customer ID, or omit customer_id.",
    "UNKNOWN_COMMAND": "There is no such command. Valid commands: %(commands)s.",
    "KEY_UNKNOWN": "The input is encrypted with the key %(key_id)s, which this service does not have.",
    "CANCEL_BY_COMMAND": (
        "This does not cancel the subscription. Send the command cancel, with a date and the confirmation."
    ),
    "MISSING_FIELD": "This field is required.",
    "MISSING_FIELD.CUSTOMER": "Name the customer: customer_id=C-1000482.",
    "MISSING_FIELD.OF_FROM_SEQUENCE": "from_sequence needs the subscription_id of its events.",
    "MISSING_FIELD.SELECTION": "Select the subscriptions, by a filter, a query or their IDs.",
    "MISSING_FIELD.DAY": "Name the day: on=2027-07-01.",
    "UNKNOWN_FIELD": "There is no such field.",
    "UNKNOWN_FIELD.NOT_FOR_A_FILE": (
        "Remove this field from the file. Type the password, or pipe it in with --password-stdin."
    ),
    "UNKNOWN_FIELD.FOR_SIMULATIONS": "This field is only for simulations: see `worksub simulate`.",
    "WRONG_TYPE.OBJECT": "Enter an object of named fields.",
    "WRONG_TYPE.LIST": "Enter a list.",
    "WRONG_TYPE.WHOLE_NUMBER": "Enter a whole number, such as 10.",
    "WRONG_TYPE.TEXT": "Enter text; quote it if it looks like a number.",
    "WRONG_TYPE.TRUTH": "Enter true or false.",
    "WRONG_TYPE.OTHER": "%(found)s.",
    "INVALID_VALUE.OTHER": "%(found)s.",
    "INVALID_VALUE.EXPECTED": "Enter %(expected)s.",
    "INVALID_VALUE.NAMES_NOTHING": "There is no plan %(found)s. Choose one of %(plans)s.",
    "INVALID_VALUE.QUERY_NAMES_NOTHING": (
        "%(attribute)s has no value '%(found)s'. Choose one of %(expected)s."
    ),
    "INVALID_VALUE.IDS_OR_FILTERS": "Enter either IDs or filters.",
    "INVALID_VALUE.AT_LEAST": "Enter %(least)s or more.",
    "INVALID_VALUE.AT_MOST": "Enter %(most)s or less.",
    "INVALID_VALUE.TOO_SHORT": "Enter %(least)s or more characters.",
    "INVALID_VALUE.TOO_LONG": "Enter %(most)s or fewer characters.",
    "INVALID_VALUE.NULL_CHARACTER": "Remove the null characters.",
    "INVALID_VALUE.INVISIBLE": "Remove control and invisible characters.",
    "INVALID_VALUE.GROUP_OR_DOMAIN": "Enter either a group name or a domain name.",
    "INVALID_VALUE.TERM_MISSING": "Choose a contract term for another plan or number of members.",
    "INVALID_VALUE.ADJUSTED_BY_ZERO": "An adjustment of zero changes nothing.",
    "INVALID_VALUE.MORE_PROBLEMS": "There are %(more)s more problems.",
    "INVALID_VALUE.CHECK_INTERVALS_NOT_INCREASING": "Enter check_intervals with increasing up_to_hours.",
    "INVALID_VALUE.TWICE": "Enter each number once.",
    "INVALID_VALUE.UNEQUAL_LISTS": (
        "Enter as many entries in English as in Korean, not %(english)s and %(korean)s."
    ),
    "INVALID_VALUE.ANNUAL_ABOVE_LIST": "The annual price must not exceed the list price.",
    "INVALID_VALUE.NOT_IN_TIME_ORDER": "Put the steps in time order: step %(number)s is too early.",
    "INVALID_VALUE.AFTER_THE_END": "Remove the steps after `until`.",
    "INVALID_VALUE.NOT_A_STEP": "Give each step `at` and one of the commands %(commands)s.",
    "INVALID_VALUE.NOT_A_COUNT": "Enter {count: N}, with a whole number from 1 to %(most)s.",
    "INVALID_VALUE.AT_BESIDE": "Put `at` next to the command, not in its argument.",
    "INVALID_DATE": "Enter a date such as 2027-01-31.",
    "INVALID_INSTANT": "Enter a date and time such as 2027-01-01T09:00:00+09:00.",
    "INVALID_INSTANT.NO_OFFSET": "Enter the offset from UTC too, as in 2027-01-01T09:00:00+09:00.",
    "INVALID_INSTANT.OUT_OF_RANGE": "Enter a time between the years 1000 and 9900.",
    "INVALID_INSTANT.TOO_FAR_AHEAD": "That time is more than 20 years after the last event.",
    # Requesting (R1-R10).
    "REQUEST_ID_REUSED": "This ID was used for another request. Start a new request.",
    "INVALID_ID": "Enter 1 to 100 letters, digits, '.', '_', ':' or '-', beginning with a letter or digit.",
    "INVALID_ID.COMMAND": "Enter 1 to 200 printable ASCII characters without spaces.",
    "INVALID_ID.WORKFLOW": "The workflow ID must be %(prefix)s followed by 1 to 100 visible characters.",
    "INVALID_START.CRON_SCHEDULE": "The workflow was started with a cron schedule; start it without one.",
    "INVALID_START.RETRY_POLICY": "The workflow was started with a retry policy; start it without one.",
    "INVALID_START.TIMEOUT": (
        "The workflow was started with an execution or run timeout; start it without one."
    ),
    "INVALID_GROUP_NAME.LENGTH": "Enter a group name of 2 to 22 characters.",
    "INVALID_GROUP_NAME.CHARACTERS": (
        "Use lowercase letters, digits and hyphens, with no hyphen first, last or twice in a row."
    ),
    "INVALID_GROUP_NAME.RESERVED": "A group name cannot be line or admin.",
    "INVALID_GROUP_NAME.CONTAINS": "A group name cannot contain worksmobile or lineworks.",
    "INVALID_DOMAIN_NAME.NOT_A_DOMAIN": "Enter a domain such as acme.co.kr (no http://, no trailing dot).",
    "INVALID_DOMAIN_NAME.TOO_LONG": "Enter a domain of 253 characters or fewer.",
    "INVALID_DOMAIN_NAME.ONE_LABEL": "Enter a domain of two parts or more, such as acme.co.kr.",
    "INVALID_DOMAIN_NAME.LABEL": (
        "Each part of a domain has 1 to 63 letters, digits and hyphens, with no hyphen first or last."
    ),
    "INVALID_DOMAIN_NAME.DIGITS_LAST": "The last part of a domain cannot be digits alone.",
    "INVALID_DOMAIN_NAME.NOT_ENCODABLE": "This is not a valid internationalized domain name.",
    "INVALID_DOMAIN_NAME.PUBLIC_SUFFIX": (
        "This is a public suffix, which no customer owns. Enter your own domain, such as acme.co.kr."
    ),
    "INVALID_DOMAIN_NAME.A_LABEL": "A part of the domain begins with xn-- but is not a valid encoding.",
    "INVALID_ADMIN_ID": "Enter 2 to 40 lowercase letters, digits, periods, hyphens or underscores.",
    "INVALID_PASSWORD.LENGTH": "Use 8 to 40 characters.",
    "INVALID_PASSWORD.CHARACTERS": "Use printable ASCII characters without spaces.",
    "INVALID_PASSWORD.NO_UPPERCASE": "Use at least one uppercase letter.",
    "INVALID_PASSWORD.NO_LOWERCASE": "Use at least one lowercase letter.",
    "INVALID_PASSWORD.NO_DIGIT": "Use at least one digit.",
    "INVALID_PASSWORD.CONSECUTIVE": "Do not use sequences of three, such as abc or 321.",
    "INVALID_PASSWORD.REPEATED": "Do not use the same character three times in a row.",
    "PASSWORDS_DIFFER": "The passwords do not match.",
    "INVALID_PASSWORD_HASH.FORM": "Enter an Argon2id hash of the password: %(allowed)s.",
    "INVALID_PASSWORD_HASH.COST": "Enter an Argon2id hash of bounded cost: %(allowed)s.",
    "INVALID_COMPANY_NAME.LENGTH": "Enter a company name of 1 to 100 characters.",
    "INVALID_COMPANY_NAME.INVISIBLE": "Remove control and invisible characters.",
    "INVALID_PHONE": "Enter a phone number such as 02-1234-5678 or +82 2-1234-5678.",
    "INVALID_EMAIL": "Enter an email address such as name@company.co.kr.",
    "SIMULATION_NOT_ALLOWED": "This service serves customers, so simulations are disabled: omit the time.",
    "NAME_TAKEN": "This name is already taken. Choose another name.",
    "NAME_TAKEN.RENAME": "This name is already taken. Choose another name.",
    "NAME_UNCHANGED": "This is already the current name.",
    "RENAMED_TOO_RECENTLY": "The name was changed recently. You can change it again from %(free_at)s.",
    "NO_PROOF_AWAITED": "No domain of this subscription is waiting for verification.",
    # What is sold (R2, R3, R19, R36).
    "NOTHING_ON_SALE": "Nothing is on sale yet on this day.",
    "PLAN_NOT_SOLD": "This plan is not on sale. Choose one of %(plans)s.",
    "PLAN_NOT_SOLD.NONE": "No plan is on sale.",
    "PLAN_NOT_SOLD.ONE_OF": "This plan is not on sale. Choose one of %(plans)s.",
    "TOO_MANY_MEMBERS": "There can be at most %(most_members)s.",
    "TOO_MANY_MEMBERS.AT_MOST": "Enter %(most)s or less.",
    "MEMBERS_IN_USE": (
        "%(members)s are in use. Choose at least that number, or remove members in NAVER WORKS Admin first."
    ),
    "TOO_MANY_TRIALS": (
        "At most %(most)s of your subscriptions can be in trial or grace period at a time. Switch one of "
        "them to a paid plan, or cancel one."
    ),
    "TERMS_NOT_AGREED.MISSING": "Agree to %(terms)s to continue.",
    "TERMS_NOT_AGREED.VERSIONS": "Agree to the current versions of the terms: %(terms)s.",
    "TERMS_NOT_AGREED.MISSING_IN_UPGRADE": "Agree to %(terms)s to continue.",
    "TERMS_NOT_AGREED.VERSIONS_IN_UPGRADE": "Agree to the current versions of the terms: %(terms)s.",
    "CATALOGUE_NOT_PUBLISHABLE.CHANGED": (
        "%(version)s is published with other contents and never changes. Set a new `version` and a later "
        "`effective_from`."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.NOT_LATER": (
        "The catalogue must come into force after %(version)s, which does on %(date)s. Set a later "
        "`effective_from`."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.ANNOUNCED_EARLIER": (
        "Set %(date)s or a later day: version %(version)s was announced on that day."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.ANNOUNCED_IN_THE_PAST": (
        "Set the day of publication, %(today)s, or a later one."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.IN_THE_PAST": (
        "Set the day of publication, %(today)s, or a later one: contracts have begun since at the prices "
        "in force."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.RANK_CHANGED": (
        "Set rank %(rank)s as in version %(version)s: the rank of a plan never changes."
    ),
    "CATALOGUE_NOT_PUBLISHABLE.RANK_REUSED": (
        "This is the rank of plans.%(plan)s since version %(version)s. Choose a rank that no plan has ever "
        "had."
    ),
    "PREVIEW_OUTDATED": (
        "The catalogue file or the published versions are not those of this preview. Preview the file again."
    ),
    "PREVIEW_OUTDATED.BULK": (
        "The subscriptions, the day or the prices are not those of this dry run. Nothing was started; do the "
        "dry run again."
    ),
    # Dates and reservations (R16, R27-R29, R32).
    "DATE_IN_THE_PAST": "Choose today, %(today)s, or a later date.",
    "DATE_TOO_LATE": "The latest possible date is %(latest)s.",
    "SWITCH_RESERVED": "A switch to paid is reserved for %(date)s. Withdraw it first, or cancel today.",
    "CANCELLATION_RESERVED": "A cancellation is reserved for %(date)s. Withdraw it first, or switch today.",
    "CHANGED_MEANWHILE": (
        "Something has changed since the preview. Nothing was done; check again before you confirm."
    ),
    "NOTHING_RESERVED": "Neither a switch nor a cancellation is reserved.",
    "CONFIRMATION_DIFFERS": "Type the administrator account in full: ID@name.",
    "CONFIRMATION_DIFFERS.BULK": "To confirm the cancellations, type %(expected)s.",
    # The state does not allow it (R24-R26).
    "ALREADY_PAID": "The subscription is already on a paid plan. Upgrade it instead.",
    "NOT_YET_PAID.RENEWAL_OPTION": "A renewal option can be chosen only after the switch to a paid plan.",
    "NOT_YET_PAID.UPGRADE": "An upgrade is possible only after the switch to a paid plan.",
    "NOT_AN_UPGRADE": (
        "An upgrade needs a higher plan, more members, or an annual contract in place of a monthly one."
    ),
    "LOWERED_BY_UPGRADE.PLAN": (
        "An upgrade cannot lower the plan. A renewal option can, at the end of the contract period."
    ),
    "LOWERED_BY_UPGRADE.MEMBERS": (
        "An upgrade cannot lower the number of members. A renewal option can, at the end of the contract "
        "period."
    ),
    "LOWERED_BY_UPGRADE.TERM": (
        "An upgrade cannot shorten the term. A renewal option can, at the end of the contract period."
    ),
    "NOT_YET_STARTED": "The subscription has not started yet. Try again in a moment.",
    "SUBSCRIPTION_ENDED": "This subscription has ended. No changes are possible.",
    "SUBSCRIPTION_NOT_FOUND": "There is no subscription with that id.",
    "DATA_ERASED": "All data of this subscription has been permanently deleted. Nothing is left to export.",
    # Ledgers, invoices and notices.
    "LINE_NOT_FOUND": "The ledger has no line with that key.",
    "ADJUSTED_TOO_MUCH": "At most %(left)s of that line can still be credited.",
    "ADJUSTED_TOO_MUCH.ADDED": "At most %(left)s can still be added to that line: no more than its amount.",
    "ADJUSTED_TOO_MUCH.AT_ONCE": "An adjustment can be at most %(left)s, the amount of the line.",
    "REVERSED_TOO_MUCH": (
        "At most %(left)s of earlier adjustments of that line can be reversed, with the opposite sign."
    ),
    "ADJUSTMENT_ID_REUSED": "This ID was used for another adjustment. Choose a new one.",
    "MONTH_NOT_ENDED": "The month has not ended yet.",
    "INVOICE_NOT_FOUND": "There is no invoice with that number.",
    "NOTICE_NOT_FOUND": "There is no notice with that number.",
    "RECONCILIATION_NOT_FOUND": "There has been no reconciliation yet.",
    "RECONCILIATION_NOT_FOUND.RUN": "There is no reconciliation run with that name.",
    # Bulk runs.
    "BULK_RUN_NOT_FOUND": "There is no bulk run with that ID.",
    "BULK_RUN_ENDED": "This bulk run has ended.",
    "TOO_MANY_SELECTED": "Select at most %(most)s subscriptions.",
    # Time and identity (R22, R33).
    "COMMAND_ID_REUSED": "This ID was used for another command. Start again with a new ID.",
    "TOO_MANY_SIGNALS": "Refused signals on %(date)s without their own entries: %(more)s.",
    "TRY_AGAIN": "The subscription is busy and nothing has changed. Try again in a moment.",
    "CLOCK_PASSED": "The clock has passed that time: the last event was at %(last_at)s.",
    "NO_TEST_CLOCK": "Only a simulated subscription accepts a time.",
    "NO_TEST_CLOCK.INVOICES": "Only the local stack issues invoices by a test clock.",
}
"""The templates by code, or by code and reason: `CODE.REASON`."""


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

    def format(self, formatter: Formatter) -> str:
        """Return the message in the formatter's language.

        The code can be unknown, because a worker can run a newer release. Then the message stays English.
        """
        if template := SENTENCES.get(self.key):
            return format_message(Message(template=template, parameters=self.parameters), formatter)
        return self.message


class Problem(_Coded):
    """A problem with one field. `field` is a dotted path, or None for the whole input."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

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
        cls, code: RefusalCode, problems: Sequence[Problem], *, message: str | None = None
    ) -> "Refusal":
        return cls(
            code=code,
            message=message or join_problems(problems),
            field=problems[0].field,
            problems=tuple(problems),
        )


def join_problems(problems: Iterable[Problem]) -> str:
    """Return the messages of the problems, each with its field."""
    return " ".join(map(str, problems))


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


def format_refusals(refused: Iterable[Refusal | Problem], formatter: Formatter) -> str:
    """Return the messages in the formatter's language, each once."""
    return " ".join(dict.fromkeys(each.format(formatter) for each in refused))


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
        "message": format_message(Message(template=SENTENCES[key_of(code, reason)], parameters=parameters)),
        "field": field,
    }
