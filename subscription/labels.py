"""Labels of deadlines, reservations and renewal options, the same for every interface.

Contain no personal data.
"""

from collections.abc import Mapping
from datetime import timedelta

from subscription.business_calendar import day_of
from subscription.contract import RenewalTerms
from subscription.deadlines import Deadline, DeadlineKind
from subscription.messages import Message
from subscription.state import ReservedCancellation, ReservedSwitch

DEADLINES: Mapping[DeadlineKind, str] = {
    DeadlineKind.SERVICE_FEES: "Service fees for %(month)s",
    DeadlineKind.CANCELLATION: "Reserved cancellation",
    DeadlineKind.SWITCH_TO_PAID: "Reserved switch to paid",
    DeadlineKind.TRIAL_END: "End of trial",
    DeadlineKind.GRACE_END: "End of grace period and cancellation",
    DeadlineKind.CONTRACT_END: "End of contract period",
    DeadlineKind.ERASURE: "Data erasure",
}

RESERVATIONS: Mapping[str, str] = {
    "NONE": "Nothing reserved",
    "CANCELLATION": "Cancellation on %(date)s",
    "SWITCH_TO_PAID": "Switch to a paid %(term)s (%(plan)s, %(members)s) on %(date)s",
}

RENEWAL_OPTIONS: Mapping[str, str] = {
    "NONE": "No renewal option: a monthly contract follows, on the same plan and members",
    "TERMS": "%(term)s, %(plan)s, %(members)s",
    "TERMS.SAME_PLAN": "%(term)s, same plan, %(members)s",
    "TERMS.SAME_MEMBERS": "%(term)s, %(plan)s, same number of members",
    "TERMS.SAME_PLAN_AND_MEMBERS": "%(term)s, same plan, same number of members",
}


def deadline_label(deadline: Deadline) -> Message:
    return Message.of(DEADLINES[deadline.what], month=day_of(deadline.at) - timedelta(days=1))


def reservation_label(reserved: ReservedSwitch | ReservedCancellation | None) -> Message:
    match reserved:
        case None:
            return Message.of(RESERVATIONS["NONE"])
        case ReservedCancellation():
            return Message.of(RESERVATIONS[reserved.kind], date=reserved.date)
        case ReservedSwitch():
            return Message.of(
                RESERVATIONS[reserved.kind],
                date=reserved.date,
                term=reserved.term,
                plan=reserved.plan,
                members=reserved.members,
            )


def renewal_label(option: RenewalTerms | None) -> Message:
    """Return the terms of the next contract (R24)."""
    if option is None:
        return Message.of(RENEWAL_OPTIONS["NONE"])
    return Message.of(RENEWAL_OPTIONS[f"TERMS{same_terms(option)}"], term=option.term, **given_terms(option))


def same_terms(option: RenewalTerms) -> str:
    """Return the suffix of the template's key for the terms that stay the same."""
    same = [name for name, given in (("PLAN", option.plan), ("MEMBERS", option.members)) if given is None]
    return f".SAME_{'_AND_'.join(same)}" if same else ""


def given_terms(option: RenewalTerms) -> dict[str, str | int]:
    return {name: value for name, value in (("plan", option.plan), ("members", option.members)) if value}
