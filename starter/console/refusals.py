"""Refusals for whoever reads them: the rules' own sentence in English, ours by the code elsewhere."""

import re
from collections.abc import Mapping

from starter.console.languages import Words
from starter.invoice_page import Language
from subscription.refusals import Code, Problem, Refused

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} KST")
_NUMBER = re.compile(r"[0-9][0-9,]*")


def N_(message: str) -> str:  # noqa: N802
    """Marks a message for the .po file; it is translated where it is said."""
    return message


_BY_CODE: Mapping[str, str] = {
    Code.INVALID_ARGUMENT: N_("Something that was entered cannot be read."),
    Code.MISSING_FIELD: N_("This is missing."),
    Code.UNKNOWN_FIELD: N_("There is a field that is not known here."),
    Code.WRONG_TYPE: N_("This cannot be read."),
    Code.INVALID_VALUE: N_("This value is not possible."),
    Code.INVALID_DATE: N_("Enter a date such as 2027-01-31."),
    Code.INVALID_INSTANT: N_("Enter a date and a time."),
    Code.UNKNOWN_COMMAND: N_("There is no such command."),
    Code.CANCEL_BY_COMMAND: N_("A subscription is canceled on its own page."),
    Code.REQUEST_REFUSED: N_("The request cannot be accepted as it is."),
    Code.REQUEST_ID_REUSED: N_("This request was sent before with other contents; begin a new one."),
    Code.INVALID_GROUP_NAME: N_(
        "A group name has 2 to 22 lowercase letters, digits and hyphens, no hyphen first, last or twice in a "
        "row; it is not line or admin and does not contain worksmobile or lineworks."
    ),
    Code.INVALID_DOMAIN_NAME: N_("Enter a domain name in lowercase, as in acme.co.kr."),
    Code.INVALID_ADMIN_ID: N_(
        "An ID has 2 to 40 lowercase letters, digits, periods, hyphens or underscores."
    ),
    Code.INVALID_PASSWORD: N_("The password does not keep to the rules beside it."),
    Code.PASSWORDS_DIFFER: N_("The two passwords are not the same; type them again."),
    Code.INVALID_PASSWORD_HASH: N_("Enter the password again."),
    Code.INVALID_COMPANY_NAME: N_("A company name has 1 to 100 characters."),
    Code.INVALID_PHONE: N_("Enter a phone number such as 02-1234-5678 or +82 2-1234-5678."),
    Code.INVALID_ID: N_("This is not a possible id."),
    Code.SIMULATION_NOT_ALLOWED: N_("A subscription begins now, not at another time."),
    Code.NAME_TAKEN: N_("This name is taken; choose another one."),
    Code.NAME_UNCHANGED: N_("That is the present name already."),
    Code.RENAMED_TOO_RECENTLY: N_(
        "The name was changed a short while ago; it can be changed from %(moment)s."
    ),
    Code.NO_PROOF_AWAITED: N_("No domain of this subscription is waiting for a proof of ownership."),
    Code.NOTHING_ON_SALE: N_("Nothing is on sale yet on this day."),
    Code.PLAN_NOT_SOLD: N_("This plan is not on sale; choose one of those shown."),
    Code.TOO_MANY_MEMBERS: N_("There can be at most %(number)s members."),
    Code.TERMS_NOT_AGREED: N_("Agree to all required terms to go on."),
    Code.DATE_IN_THE_PAST: N_("The date must be today, %(date)s, or later."),
    Code.DATE_TOO_LATE: N_("The latest possible date is %(date)s."),
    Code.SWITCH_RESERVED: N_(
        "A switch to paid is reserved for %(date)s; withdraw it first, or cancel today."
    ),
    Code.CANCELLATION_RESERVED: N_(
        "A cancellation is reserved for %(date)s; withdraw it first, or switch today."
    ),
    Code.NOTHING_RESERVED: N_("Neither a switch nor a cancellation is reserved."),
    Code.CONFIRMATION_DIFFERS: N_("Type the administrator's account in full: ID@name."),
    Code.ALREADY_PAID: N_("The subscription is on a paid plan already; upgrade it instead."),
    Code.NOT_YET_PAID: N_("This is possible only after the switch to a paid plan."),
    Code.NOT_AN_UPGRADE: N_(
        "An upgrade needs a higher plan, more members, or an annual contract in place of a monthly one."
    ),
    Code.LOWERED_BY_UPGRADE: N_(
        "An upgrade cannot lower anything; a renewal option can, at the end of the contract period."
    ),
    Code.TOO_MANY_COMMANDS: N_("Too many changes in the last weeks; try again in some days."),
    Code.NOT_YET_STARTED: N_("The subscription has not started yet; try again in a moment."),
    Code.SUBSCRIPTION_ENDED: N_("The subscription has ended; nothing can be asked of it."),
    Code.SUBSCRIPTION_NOT_FOUND: N_("There is no such subscription."),
    Code.LINE_NOT_FOUND: N_("The ledger has no such line."),
    Code.ADJUSTED_TOO_MUCH: N_("No more can be given back than was charged."),
    Code.ADJUSTMENT_ID_REUSED: N_("This adjustment was sent before with other contents."),
    Code.MONTH_NOT_ENDED: N_("The month has not ended yet."),
    Code.INVOICE_NOT_FOUND: N_("There is no such invoice."),
    Code.NOTICE_NOT_FOUND: N_("There is no such notice."),
    Code.RECONCILIATION_NOT_FOUND: N_("Nothing has been reconciled yet."),
    Code.COMMAND_ID_REUSED: N_("This form was sent before with other contents; open the page again."),
    Code.CLOCK_PASSED: N_("That time has passed already."),
    Code.NO_TEST_CLOCK: N_("This clock cannot be moved."),
}

PASSWORD_RULES = (
    N_("must have 8 to 40 characters"),
    N_("must be of printable ASCII characters without spaces"),
    N_("must have at least one uppercase letter"),
    N_("must have at least one lowercase letter"),
    N_("must have at least one digit"),
    N_("must not have three characters in a row that follow each other, as abc or 321 do"),
    N_("must not have the same character three times in a row"),
)
"""What `subscription.passwords` says, to be translated word by word."""


def refusal_words(refused: Refused | Problem, words: Words) -> str:
    """One sentence that says what is wrong and what would be right."""
    if words.has(refused.message):
        return words.say(refused.message)
    if words.language is Language.EN or refused.code not in _BY_CODE:
        sentence = refused.message[:1].upper() + refused.message[1:]
        return sentence if sentence.endswith(".") else sentence + "."
    return words.say(_BY_CODE[refused.code], **_facts(refused.message))


def _facts(message: str) -> dict[str, str]:
    """The date, the moment and the number that the rules' sentence names."""
    found = {
        "date": _DATE.search(message),
        "moment": _MOMENT.search(message),
        "number": _NUMBER.search(message),
    }
    return {name: match[0] if match else "" for name, match in found.items()}
