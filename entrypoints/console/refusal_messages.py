"""Translated refusal messages."""

from collections.abc import Mapping

from entrypoints.console.i18n import Translator
from subscription.messages import fill_template
from subscription.refusals import Problem, Refusal, RefusalCode, key_of


def N_(message: str) -> str:  # noqa: N802
    """Mark a message for extraction to the .po file; it is translated when it is formatted."""
    return message


SENTENCES: Mapping[str, str] = {
    RefusalCode.INVALID_ARGUMENT: N_("Something that was entered cannot be read."),
    RefusalCode.MISSING_FIELD: N_("This is missing."),
    RefusalCode.UNKNOWN_FIELD: N_("There is a field that is not known here."),
    RefusalCode.WRONG_TYPE: N_("This cannot be read."),
    "WRONG_TYPE.WHOLE_NUMBER": N_("Enter a whole number, such as 10."),
    RefusalCode.INVALID_VALUE: N_("This value is not possible."),
    "INVALID_VALUE.AT_LEAST": N_("Enter %(least)s or more."),
    "INVALID_VALUE.AT_MOST": N_("Enter %(most)s or less."),
    "INVALID_VALUE.TOO_SHORT": N_("Enter %(least)s characters or more."),
    "INVALID_VALUE.TOO_LONG": N_("Enter %(most)s characters or fewer."),
    "INVALID_VALUE.INVISIBLE": N_("Control characters and invisible characters cannot be used."),
    "INVALID_VALUE.GROUP_OR_DOMAIN": N_("Enter either a group name or a domain name."),
    "INVALID_VALUE.TERM_MISSING": N_(
        "Without a renewal option the plan and the members stay as they are. Choose a contract for another "
        "plan or number of members, or leave both as they are."
    ),
    "INVALID_VALUE.MORE_PROBLEMS": N_("There are %(more)s more problems."),
    RefusalCode.INVALID_DATE: N_("Enter a date such as 2027-01-31."),
    RefusalCode.INVALID_INSTANT: N_("Enter a date and a time."),
    "INVALID_INSTANT.TOO_FAR_AHEAD": N_("That time is too far ahead."),
    RefusalCode.UNKNOWN_COMMAND: N_("There is no such command."),
    RefusalCode.CANCEL_BY_COMMAND: N_("A subscription is canceled on its own page."),
    RefusalCode.REQUEST_REFUSED: N_("The request cannot be accepted as it is."),
    RefusalCode.REQUEST_ID_REUSED: N_("This request was sent before with other contents; begin a new one."),
    RefusalCode.INVALID_GROUP_NAME: N_("This is not a possible group name."),
    "INVALID_GROUP_NAME.LENGTH": N_("A group name has 2 to 22 characters."),
    "INVALID_GROUP_NAME.CHARACTERS": N_(
        "A group name has lowercase letters, digits and hyphens, and no hyphen first, last or twice running."
    ),
    "INVALID_GROUP_NAME.RESERVED": N_("A group name cannot be line or admin."),
    "INVALID_GROUP_NAME.CONTAINS": N_("A group name cannot contain worksmobile or lineworks."),
    RefusalCode.INVALID_DOMAIN_NAME: N_("Enter a domain name such as acme.co.kr."),
    "INVALID_DOMAIN_NAME.TOO_LONG": N_("A domain name has at most 253 characters."),
    "INVALID_DOMAIN_NAME.LABEL": N_(
        "Each part of a domain name has 1 to 63 letters, digits and hyphens, with no hyphen first or last, "
        "as in acme.co.kr."
    ),
    "INVALID_DOMAIN_NAME.DIGITS_LAST": N_("A domain name does not end in digits alone."),
    RefusalCode.INVALID_ADMIN_ID: N_(
        "An ID has 2 to 40 lowercase letters, digits, periods, hyphens or underscores."
    ),
    RefusalCode.INVALID_PASSWORD: N_("The password does not meet the password rules."),
    "INVALID_PASSWORD.LENGTH": N_("It must have 8 to 40 characters."),
    "INVALID_PASSWORD.CHARACTERS": N_("It must be of printable ASCII characters without spaces."),
    "INVALID_PASSWORD.NO_UPPERCASE": N_("It must have at least one uppercase letter."),
    "INVALID_PASSWORD.NO_LOWERCASE": N_("It must have at least one lowercase letter."),
    "INVALID_PASSWORD.NO_DIGIT": N_("It must have at least one digit."),
    "INVALID_PASSWORD.CONSECUTIVE": N_(
        "It must not have three characters in a row that follow each other, as abc or 321 do."
    ),
    "INVALID_PASSWORD.REPEATED": N_("It must not have the same character three times in a row."),
    RefusalCode.PASSWORDS_DIFFER: N_("The passwords do not match."),
    RefusalCode.INVALID_PASSWORD_HASH: N_("Enter the password again."),
    RefusalCode.INVALID_COMPANY_NAME: N_("A company name has 1 to 100 characters."),
    "INVALID_COMPANY_NAME.INVISIBLE": N_("A company name cannot have control or invisible characters."),
    RefusalCode.INVALID_PHONE: N_("Enter a phone number such as 02-1234-5678 or +82 2-1234-5678."),
    RefusalCode.INVALID_ID: N_("This is not a possible id."),
    RefusalCode.INVALID_START: N_("The workflow was started with options that it does not allow."),
    RefusalCode.SIMULATION_NOT_ALLOWED: N_("A subscription begins now, not at another time."),
    RefusalCode.NAME_TAKEN: N_("This name is taken; choose another one."),
    RefusalCode.NAME_UNCHANGED: N_("This is already the current name."),
    RefusalCode.RENAMED_TOO_RECENTLY: N_(
        "The name was changed a short while ago; it can be changed from %(free_at)s."
    ),
    RefusalCode.NO_PROOF_AWAITED: N_("No domain of this subscription is waiting for verification."),
    RefusalCode.NOTHING_ON_SALE: N_("Nothing is on sale yet on this day."),
    RefusalCode.PLAN_NOT_SOLD: N_("This plan is not on sale; choose one of those shown."),
    RefusalCode.TOO_MANY_MEMBERS: N_("There can be %(most_members)s at most."),
    "TOO_MANY_MEMBERS.AT_MOST": N_("There can be at most %(most)s members."),
    RefusalCode.CATALOGUE_NOT_PUBLISHABLE: N_("This version of the catalogue cannot be published."),
    RefusalCode.TERMS_NOT_AGREED: N_("Agree to all required terms to go on."),
    RefusalCode.DATE_IN_THE_PAST: N_("The date must be today, %(today)s, or later."),
    RefusalCode.DATE_TOO_LATE: N_("The latest possible date is %(latest)s."),
    RefusalCode.SWITCH_RESERVED: N_(
        "A switch to paid is reserved for %(date)s; withdraw it first, or cancel today."
    ),
    RefusalCode.CANCELLATION_RESERVED: N_(
        "A cancellation is reserved for %(date)s; withdraw it first, or switch today."
    ),
    RefusalCode.CHANGED_MEANWHILE: N_(
        "Something has changed since you opened the page. Nothing was done; check it again "
        "before you confirm."
    ),
    RefusalCode.NOTHING_RESERVED: N_("Neither a switch nor a cancellation is reserved."),
    RefusalCode.CONFIRMATION_DIFFERS: N_("Type the administrator's account in full: ID@name."),
    RefusalCode.ALREADY_PAID: N_("The subscription is on a paid plan already; upgrade it instead."),
    RefusalCode.NOT_YET_PAID: N_("This is possible only after the switch to a paid plan."),
    RefusalCode.NOT_AN_UPGRADE: N_(
        "An upgrade needs a higher plan, more members, or an annual contract in place of a monthly one."
    ),
    RefusalCode.LOWERED_BY_UPGRADE: N_(
        "An upgrade cannot lower anything; a renewal option can, at the end of the contract period."
    ),
    "LOWERED_BY_UPGRADE.PLAN": N_(
        "An upgrade cannot lower the plan; a renewal option can, at the end of the contract period."
    ),
    "LOWERED_BY_UPGRADE.MEMBERS": N_(
        "An upgrade cannot lower the number of members; a renewal option can, at the end of the contract "
        "period."
    ),
    "LOWERED_BY_UPGRADE.TERM": N_(
        "An upgrade cannot shorten the term; a renewal option can, at the end of the contract period."
    ),
    RefusalCode.KEY_UNKNOWN: N_("It is encrypted with the key %(key_id)s, which the service does not have."),
    RefusalCode.TOO_MANY_SIGNALS: N_("Signals refused on %(date)s beyond those noted one by one: %(more)s."),
    RefusalCode.TRY_AGAIN: N_("The subscription is busy; nothing has changed. Try again in a moment."),
    RefusalCode.NOT_YET_STARTED: N_("The subscription has not started yet; try again in a moment."),
    RefusalCode.SUBSCRIPTION_ENDED: N_("This subscription has ended. No changes are possible."),
    RefusalCode.SUBSCRIPTION_NOT_FOUND: N_("There is no such subscription."),
    RefusalCode.LINE_NOT_FOUND: N_("The ledger has no such line."),
    RefusalCode.ADJUSTED_TOO_MUCH: N_("Only %(left)s can be given back."),
    "ADJUSTED_TOO_MUCH.ADDED": N_("Only %(left)s more can be added."),
    "ADJUSTED_TOO_MUCH.AT_ONCE": N_("An adjustment can be of %(left)s at most."),
    RefusalCode.REVERSED_TOO_MUCH: N_("Only %(left)s can be taken back."),
    RefusalCode.ADJUSTMENT_ID_REUSED: N_("This adjustment was sent before with other contents."),
    RefusalCode.MONTH_NOT_ENDED: N_("The month has not ended yet."),
    RefusalCode.INVOICE_NOT_FOUND: N_("There is no such invoice."),
    RefusalCode.NOTICE_NOT_FOUND: N_("There is no such notice."),
    RefusalCode.RECONCILIATION_NOT_FOUND: N_("Nothing has been reconciled yet."),
    "RECONCILIATION_NOT_FOUND.RUN": N_("There is no such comparison."),
    RefusalCode.COMMAND_ID_REUSED: N_("This form was sent before with other contents; open the page again."),
    RefusalCode.CLOCK_PASSED: N_("That time has passed already: something happened at %(last_at)s."),
    RefusalCode.NO_TEST_CLOCK: N_("This clock cannot be moved."),
}
"""Messages by code and reason. A reason without an entry has the message of its code."""

LEFT_OUT = frozenset(
    {"allowed", "attribute", "commands", "expected", "found", "number", "plans", "prefix", "terms"}
)
"""Parameters that pages do not show: choices, which the form itself shows, and internal IDs."""


FOR_OPERATORS = frozenset({RefusalCode.CATALOGUE_NOT_PUBLISHABLE})
"""Codes that no page can receive; a message without parameters is enough for them."""


def refusal_words(refused: Refusal | Problem, words: Translator) -> str:
    """Return the translated message of a refusal, followed by those of its problems."""
    said = [_sentence(refused, words)]
    if isinstance(refused, Refusal):
        said += [_sentence(problem, words) for problem in refused.problems]
    return " ".join(dict.fromkeys(said))


def template_of(code: str, reason: str | None) -> str | None:
    return SENTENCES.get(key_of(code, reason)) or SENTENCES.get(code)


def _sentence(refused: Refusal | Problem, words: Translator) -> str:
    template = template_of(refused.code, refused.reason)
    if template is None:  # the worker can run a newer release with codes unknown to this process
        return refused.message
    return fill_template(words.translated(template), refused.parameters, words)
