"""Messages of each event: templates and parameters, the same for every interface. Contain no personal data.

A key that ends in `.TO_COME` has the template for an event that has not happened yet. If there is no such
key, the template without the suffix is used for both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from subscription.contract import Contract, Rate, RenewalTerms
from subscription.events import (
    AccountRenamed,
    Canceled,
    CancellationReserved,
    CommandRefused,
    ContractRenewed,
    DomainConfirmed,
    DomainLost,
    Erased,
    Event,
    RenameHeld,
    RenameWithdrawn,
    RenewalOptionChanged,
    ReservationWithdrawn,
    ServiceFeesPosted,
    SwitchedToPaid,
    SwitchReserved,
    TrialEnded,
    TrialStarted,
    Upgraded,
)
from subscription.labels import given_terms, same_terms
from subscription.messages import PLAIN, Formatter, Message, Value, as_parameters, format_template
from subscription.refusals import format_refusals
from subscription.state import ReservedCancellation, ReservedSwitch, Subscription

_PERIOD = "%(plan)s for %(members)s from %(first_day)s to %(end_day)s at %(price)s per member per month"
_NEXT = "The next contract will be %(a_term)s"
_RAISED = "The renewal option is raised to match: %(a_term)s"
_RAISED_FEE = ". At current prices the monthly fee is %(monthly)s instead of %(monthly_before)s."
_SAME_PLAN, _SAME_MEMBERS = "on the same plan", "for the same number of members"

SENTENCES: Mapping[str, str] = {
    "TRIAL_STARTED": "The free trial has started; it ends on %(at)s.",
    "TRIAL_STARTED.TO_COME": "The free trial starts; it ends on %(at)s.",
    "TRIAL_ENDED": (
        "The trial has ended and use is suspended; without a switch to a paid plan the service is canceled "
        "on %(at)s."
    ),
    "TRIAL_ENDED.TO_COME": (
        "The trial ends and use is suspended; without a switch to a paid plan the service is canceled on "
        "%(at)s."
    ),
    "SWITCH_RESERVED": "The switch to a paid %(term)s on %(plan)s for %(members)s is reserved for %(date)s.",
    "SWITCH_RESERVED.REPLACED": (
        "The switch to a paid %(term)s on %(plan)s for %(members)s is reserved for %(date)s, in place of the "
        "one for %(replaced)s."
    ),
    "SWITCHED_TO_PAID": f"Switched to a paid %(term)s on {_PERIOD}.",
    "SWITCHED_TO_PAID.TO_COME": f"The switch to a paid %(term)s on {_PERIOD} takes effect.",
    "CLEARED.SWITCH": "The switch reserved for %(date)s is cleared.",
    "CLEARED.CANCELLATION": "The cancellation reserved for %(date)s is cleared.",
    "RENEWAL_OPTION.NONE": (
        "No renewal option is set: a monthly contract follows, on the same plan and members."
    ),
    "RENEWAL_OPTION": f"{_NEXT} on %(plan)s for %(members)s.",
    "RENEWAL_OPTION.SAME_PLAN": f"{_NEXT} {_SAME_PLAN} for %(members)s.",
    "RENEWAL_OPTION.SAME_MEMBERS": f"{_NEXT} on %(plan)s {_SAME_MEMBERS}.",
    "RENEWAL_OPTION.SAME_PLAN_AND_MEMBERS": f"{_NEXT} {_SAME_PLAN} {_SAME_MEMBERS}.",
    "UPGRADED": (
        "Upgraded to %(plan)s for %(members)s at %(price)s per member per month from %(first_day)s; the "
        "%(term)s continues to %(end_day)s."
    ),
    "UPGRADED.TO_COME": (
        "The upgrade to %(plan)s for %(members)s at %(price)s per member per month takes effect on "
        "%(first_day)s; the %(term)s continues to %(end_day)s."
    ),
    "UPGRADED_CONTRACT": f"Upgraded to %(a_term)s on {_PERIOD}.",
    "UPGRADED_CONTRACT.TO_COME": f"The upgrade to %(a_term)s on {_PERIOD} takes effect.",
    "RAISED": f"{_RAISED} on %(plan)s for %(members)s{_RAISED_FEE}",
    "RAISED.SAME_PLAN": f"{_RAISED} {_SAME_PLAN} for %(members)s{_RAISED_FEE}",
    "RAISED.SAME_MEMBERS": f"{_RAISED} on %(plan)s {_SAME_MEMBERS}{_RAISED_FEE}",
    "SERVICE_FEES": "Service fees for the days before %(date)s: %(total)s.",
    "NO_SERVICE_FEES": "No service fees for the days before %(date)s.",
    "RENEWED": f"The next contract has begun: %(term)s on {_PERIOD}.",
    "RENEWED.TO_COME": f"The next contract begins: %(term)s on {_PERIOD}.",
    "CANCELLATION_RESERVED": "The cancellation is reserved for %(date)s.",
    "CANCELLATION_RESERVED.REPLACED": (
        "The cancellation is reserved for %(date)s, in place of the one for %(replaced)s."
    ),
    "WITHDRAWN.SWITCH": "The switch reserved for %(date)s is withdrawn; nothing is reserved now.",
    "WITHDRAWN.CANCELLATION": "The cancellation reserved for %(date)s is withdrawn; nothing is reserved now.",
    "CANCELED.ASKED": "Canceled at the customer's request.",
    "CANCELED.RESERVED": "Canceled as reserved.",
    "CANCELED.TRIAL_ENDED": "Canceled at the end of the trial.",
    "CANCELED.GRACE_ENDED": "Canceled at the end of the grace period.",
    "CANCELED.ASKED.TO_COME": "The subscription is canceled at the customer's request.",
    "CANCELED.RESERVED.TO_COME": "The subscription is canceled as reserved.",
    "CANCELED.TRIAL_ENDED.TO_COME": "The subscription is canceled at the end of the trial.",
    "CANCELED.GRACE_ENDED.TO_COME": "The subscription is canceled at the end of the grace period.",
    "LAST_CHARGES": "Final charges: %(total)s.",
    "LAST_CHARGES.NONE": "Nothing is charged.",
    "DELETION": "All data will be permanently deleted.",
    "ERASED": "All data has been permanently deleted.",
    "ERASED.TO_COME": "All data is permanently deleted.",
    "DOMAIN_CONFIRMED": "Domain ownership is verified; use is no longer restricted.",
    "DOMAIN_LOST.ACCOUNT": (
        "The ownership of the domain was verified elsewhere first. There is no access until the account is "
        "renamed, which is possible now. The contract, its charges and dates stay as they are."
    ),
    "DOMAIN_LOST.RENAME": (
        "The ownership of the new domain was verified elsewhere first. The change of name is dropped; the "
        "current name stays."
    ),
    "RENAMED.GROUP": "The account is renamed: the new group name is in effect.",
    "RENAMED.DOMAIN": "The account is renamed: the new domain name is in effect.",
    "RENAME_HELD": "The new domain name takes effect once domain ownership is verified.",
    "RENAME_WITHDRAWN": "The change of name is withdrawn; the current name stays.",
    "REFUSED": "%(command)s was refused:",
    # About the result of a command.
    "FINAL": "This cannot be undone: deleted data cannot be recovered.",
    "NO_PROOF_YET": "Record not found yet. We will keep checking; DNS changes can take up to 72 hours.",
    "RESTRICTED": "Use is restricted until domain ownership is verified.",
    "LOST": "There is no access until the account is renamed: the domain was verified elsewhere first.",
}


def event_message(event: Event, formatter: Formatter = PLAIN, *, to_come: bool = False) -> str:
    """Return the complete message of an event; `to_come` selects the wording for a future event."""
    sentences = [
        format_template(_template(key, to_come=to_come), as_parameters(values), formatter)
        for key, values in _sentences(event)
    ]
    if isinstance(event, CommandRefused):
        sentences.append(_refusal_text(event, formatter))
    return " ".join(sentences)


def accepted_message(state: Subscription, events: Sequence[Event]) -> str:
    """Return the message about the events of an accepted command, and about restricted use (R11, R12)."""
    if not events:
        return SENTENCES["NO_PROOF_YET"]
    messages = [event_message(event) for event in events]
    if any(isinstance(event, Canceled) for event in events):
        messages.append(SENTENCES["FINAL"])
    if any(isinstance(event, SwitchedToPaid | SwitchReserved) for event in events):
        if state.pending_domain:
            messages.append(SENTENCES["RESTRICTED"])
        if state.domain_lost:
            messages.append(SENTENCES["LOST"])
    return " ".join(messages)


def messages_of(event: Event, *, to_come: bool = False) -> tuple[Message, ...]:
    """Return all sentences about an event; `to_come` selects the wording for a future event."""
    return tuple(Message.of(_template(key, to_come=to_come), **values) for key, values in _sentences(event))


def _template(key: str, *, to_come: bool) -> str:
    return (to_come and SENTENCES.get(f"{key}.TO_COME")) or SENTENCES[key]


def _refusal_text(event: CommandRefused, formatter: Formatter) -> str:
    """Return the refusal's text; the English one names the fields, which a page does itself."""
    return event.message if formatter is PLAIN else format_refusals(event.refusals, formatter)


_Sentence = tuple[str, Mapping[str, Value]]
"""The key of a template, and its parameters."""


def _sentences(event: Event) -> Iterator[_Sentence]:
    match event:
        case ServiceFeesPosted(posted=()):  # first, because most events are of this kind
            yield _of("NO_SERVICE_FEES", date=event.billed_until)
        case ServiceFeesPosted():
            yield _of("SERVICE_FEES", date=event.billed_until, total=_total(event))
        case TrialStarted():
            yield _of("TRIAL_STARTED", at=event.trial_ends_at)
        case TrialEnded():
            yield _of("TRIAL_ENDED", at=event.grace_ends_at)
        case SwitchReserved(switch=switch):
            yield _reserved(
                "SWITCH_RESERVED",
                event,
                date=switch.date,
                term=switch.term,
                plan=switch.plan,
                members=switch.members,
            )
        case SwitchedToPaid():
            yield _of("SWITCHED_TO_PAID", term=event.contract.term, **_period(event.contract, event.rate))
            yield from _cleared(event.cleared)
        case RenewalOptionChanged(option=option):
            yield _option("RENEWAL_OPTION", option) if option else _of("RENEWAL_OPTION.NONE")
        case Upgraded():
            yield _upgrade(event)
            if event.raised_option and event.raised_cost:
                cost = event.raised_cost
                yield _option("RAISED", event.raised_option, monthly=cost.after, monthly_before=cost.before)
        case ContractRenewed():
            yield _of("RENEWED", term=event.contract.term, **_period(event.contract, event.rate))
        case CancellationReserved():
            yield _reserved("CANCELLATION_RESERVED", event, date=event.date)
        case ReservationWithdrawn():
            yield _of(f"WITHDRAWN.{_kind(event.withdrawn)}", date=event.withdrawn.date)
        case Canceled():
            yield _of(f"CANCELED.{event.because}")
            yield _of("LAST_CHARGES", total=_total(event)) if event.posted else _of("LAST_CHARGES.NONE")
            yield from _cleared(event.cleared)
            yield _of("DELETION")
        case Erased():
            yield _of("ERASED")
        case DomainConfirmed():
            yield _of("DOMAIN_CONFIRMED")
        case DomainLost():
            yield _of(f"DOMAIN_LOST.{event.purpose}")
        case AccountRenamed():
            yield _of(f"RENAMED.{event.kind}")
        case RenameHeld():
            yield _of("RENAME_HELD")
        case RenameWithdrawn():
            yield _of("RENAME_WITHDRAWN")
        case CommandRefused():
            if not event.count:  # A summary of several refusals has a message of its own.
                yield _of("REFUSED", command=event.command)
        case _:
            assert_never(event)


def _of(key: str, **values: Value) -> _Sentence:
    return key, values


def _reserved(key: str, event: SwitchReserved | CancellationReserved, **values: Value) -> _Sentence:
    if event.replaced:
        return _of(f"{key}.REPLACED", replaced=event.replaced, **values)
    return _of(key, **values)


def _period(contract: Contract, rate: Rate) -> dict[str, Value]:
    return {
        "plan": rate.plan,
        "members": rate.members,
        "first_day": contract.first_day,
        "end_day": contract.end_day,
        "price": rate.price,
    }


def _upgrade(event: Upgraded) -> _Sentence:
    """Return the sentence about an upgrade; if the contract continues, the rate begins on that day."""
    contract, period = event.contract, _period(event.contract, event.rate)
    if contract.first_day == event.rate.first_day:
        return _of("UPGRADED_CONTRACT", a_term=contract.term, **period)
    return _of("UPGRADED", **{**period, "first_day": event.rate.first_day, "term": contract.term})


def _option(key: str, option: RenewalTerms, **values: Value) -> _Sentence:
    return _of(key + same_terms(option), a_term=option.term, **given_terms(option), **values)


def _cleared(cleared: ReservedSwitch | ReservedCancellation | None) -> Iterator[_Sentence]:
    if cleared:
        yield _of(f"CLEARED.{_kind(cleared)}", date=cleared.date)


def _kind(reserved: ReservedSwitch | ReservedCancellation) -> str:
    return "SWITCH" if isinstance(reserved, ReservedSwitch) else "CANCELLATION"


def _total(event: ServiceFeesPosted | Canceled) -> int:
    return sum(line.amount for line in event.posted)
