"""Messages of each event: templates and parameters, the same for every interface.

Every interface formats the statements of this module in its language, so that none is left out. `SENTENCES`
has the English templates, which are also the msgids of the console's translations. A key that ends in
`.TO_COME` has the template for an event that has not happened yet. If there is no such key, the template
without the suffix is used for both.
"""

from collections.abc import Iterator, Mapping
from typing import assert_never

from subscription.contract import Contract, Rate, RenewalTerms
from subscription.events import (
    AccountRenamed,
    Canceled,
    CancellationReserved,
    CommandRefused,
    ContractRenewed,
    DomainConfirmed,
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
from subscription.messages import Parameters, Value, Writer, as_parameters, fill_template
from subscription.model import Frozen
from subscription.state import ReservedCancellation, ReservedSwitch

_PERIOD = "%(plan)s for %(members)s from %(first_day)s to %(end_day)s at %(price)s a member a month"
_NEXT = "The next contract will be %(a_term)s"
_RAISED = "The renewal option is raised with it: %(a_term)s"
_RAISED_COST = "; at the present prices that is %(monthly)s a month instead of %(monthly_before)s."
_SAME_PLAN, _SAME_MEMBERS = "on the plan that it has then", "for the members that it has then"

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
        "Upgraded to %(plan)s for %(members)s at %(price)s a member a month, which counts from %(first_day)s "
        "on; the %(term)s continues to %(end_day)s."
    ),
    "UPGRADED.TO_COME": (
        "The upgrade to %(plan)s for %(members)s at %(price)s a member a month counts from %(first_day)s on; "
        "the %(term)s continues to %(end_day)s."
    ),
    "UPGRADED_CONTRACT": f"Upgraded to %(a_term)s on {_PERIOD}.",
    "UPGRADED_CONTRACT.TO_COME": f"The upgrade to %(a_term)s on {_PERIOD} takes effect.",
    "RAISED": f"{_RAISED} on %(plan)s for %(members)s{_RAISED_COST}",
    "RAISED.SAME_PLAN": f"{_RAISED} {_SAME_PLAN} for %(members)s{_RAISED_COST}",
    "RAISED.SAME_MEMBERS": f"{_RAISED} on %(plan)s {_SAME_MEMBERS}{_RAISED_COST}",
    "SERVICE_FEES": "Service fees were posted for the days before %(date)s: %(total)s.",
    "SERVICE_FEES.TO_COME": "Service fees are posted for the days before %(date)s: %(total)s.",
    "NO_SERVICE_FEES": "No service fee was posted for the days before %(date)s.",
    "NO_SERVICE_FEES.TO_COME": "No service fee is posted for the days before %(date)s.",
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
    "LAST_CHARGES": "Last charges: %(total)s.",
    "LAST_CHARGES.NONE": "Nothing is charged.",
    "DELETION": "All data will be permanently deleted.",
    "ERASED": "All data has been permanently deleted.",
    "ERASED.TO_COME": "All data is permanently deleted.",
    "DOMAIN_CONFIRMED": "The ownership of the domain is verified; use is no longer restricted.",
    "RENAMED.GROUP": "The account has its new group name.",
    "RENAMED.DOMAIN": "The account has its new domain name.",
    "RENAME_HELD": "The new domain name is reserved; it takes effect when its ownership is verified.",
    "RENAME_WITHDRAWN": "The rename is withdrawn; the current name stays.",
    "REFUSED": "%(command)s was refused:",
    # About the result of a command.
    "NO_PROOF_YET": "The verification record of the domain was not found yet; the checks continue.",
    "RESTRICTED": "Use is restricted until the ownership of the domain is verified.",
}


class Statement(Frozen):
    """One sentence: the key of its template, and its parameters."""

    key: str
    parameters: Parameters


def statements_of(event: Event, *, to_come: bool = False) -> tuple[Statement, ...]:
    """Return all statements about an event; `to_come` selects the wording for a future event."""
    return tuple(_in_tense(statement, to_come=to_come) for statement in _statements(event))


def format_statement(statement: Statement, writer: Writer, translated: Mapping[str, str] = SENTENCES) -> str:
    return fill_template(translated[statement.key], statement.parameters, writer)


def _in_tense(statement: Statement, *, to_come: bool) -> Statement:
    later = f"{statement.key}.TO_COME"
    return statement.model_copy(update={"key": later}) if to_come and later in SENTENCES else statement


def _of(key: str, **values: Value) -> Statement:
    return Statement(key=key, parameters=as_parameters(values))


def _statements(event: Event) -> Iterator[Statement]:
    match event:
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
        case ServiceFeesPosted(posted=()):
            yield _of("NO_SERVICE_FEES", date=event.billed_until)
        case ServiceFeesPosted():
            yield _of("SERVICE_FEES", date=event.billed_until, total=_total(event))
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


def _reserved(key: str, event: SwitchReserved | CancellationReserved, **values: Value) -> Statement:
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


def _upgrade(event: Upgraded) -> Statement:
    """Return the statement of an upgrade. If the contract continues, the rate begins on the upgrade's day."""
    contract, period = event.contract, _period(event.contract, event.rate)
    if contract.first_day == event.rate.first_day:
        return _of("UPGRADED_CONTRACT", a_term=contract.term, **period)
    return _of("UPGRADED", **{**period, "first_day": event.rate.first_day, "term": contract.term})


def _option(key: str, option: RenewalTerms, **values: Value) -> Statement:
    same = [name for name, given in (("PLAN", option.plan), ("MEMBERS", option.members)) if given is None]
    given = {name: value for name, value in (("plan", option.plan), ("members", option.members)) if value}
    variant = f".SAME_{'_AND_'.join(same)}" if same else ""
    return _of(key + variant, a_term=option.term, **given, **values)


def _cleared(cleared: ReservedSwitch | ReservedCancellation | None) -> Iterator[Statement]:
    if cleared:
        yield _of(f"CLEARED.{_kind(cleared)}", date=cleared.date)


def _kind(reserved: ReservedSwitch | ReservedCancellation) -> str:
    return "SWITCH" if isinstance(reserved, ReservedSwitch) else "CANCELLATION"


def _total(event: ServiceFeesPosted | Canceled) -> int:
    return sum(line.amount for line in event.posted)
