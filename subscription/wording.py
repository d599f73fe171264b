"""Events in words, for people: what is said in answers, timelines and previews. Nobody is named."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import singledispatch

from subscription.calendar import day_of
from subscription.commands import ContractTerm, RenewalTerms
from subscription.deadlines import Deadline, Due
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
from subscription.ledger import LedgerLine
from subscription.request import Request
from subscription.state import Contract, Rate, ReservedCancellation, ReservedSwitch, Subscription


def accepted_message(state: Subscription, events: Sequence[Event]) -> str:
    """What an accepted command caused, as sentences; says when use is restricted (R11)."""
    if not events:
        return "The proof of domain ownership was not found yet; looking goes on."
    said = [sentence(event) for event in events]
    if state.claim and any(isinstance(event, SwitchedToPaid | SwitchReserved) for event in events):
        said.append("Use is restricted until the ownership of the domain is proved.")
    return " ".join(said)


def won(amount: int) -> str:
    return f"{amount:,} KRW"


def members_words(members: int) -> str:
    return f"{members:,} {'member' if members == 1 else 'members'}"


_DUE_WORDS = {
    Due.CANCELLATION: "reserved cancellation",
    Due.SWITCH_TO_PAID: "reserved switch to paid",
    Due.TRIAL_END: "trial ends",
    Due.GRACE_END: "grace period ends",
    Due.CONTRACT_END: "contract period ends",
    Due.ERASURE: "erasure",
}


def deadline_words(deadline: Deadline) -> str:
    """What falls due, as timers and cards name it."""
    if deadline.what is Due.SERVICE_FEES:
        return f"service fees for {day_of(deadline.at) - timedelta(days=1):%B %Y}"
    return _DUE_WORDS[deadline.what]


def summary_words(of: Request | Subscription) -> str:
    """A workflow's summary. It cannot be changed later, so it names nobody but the billing account (R31)."""
    return f"{of.customer_id}: {of.plan}, {members_words(of.members)}, {of.platform}"


@singledispatch
def sentence(event: Event) -> str:
    """One sentence for a person about what happened."""
    raise TypeError(f"no words for {type(event).__name__}")


@sentence.register
def _(event: TrialStarted) -> str:
    return f"The free trial has started; it ends on {event.trial_ends_at:%Y-%m-%d at %H:%M} KST."


@sentence.register
def _(event: TrialEnded) -> str:
    return (
        "The trial has ended and use is suspended; without a switch to a paid plan the service is canceled "
        f"on {event.grace_ends_at:%Y-%m-%d at %H:%M} KST."
    )


@sentence.register
def _(event: SwitchReserved) -> str:
    switch = event.switch
    return (
        f"The switch to a paid {_contract_words(switch.term, switch.plan, switch.members)} is reserved for "
        f"{switch.date}{_in_place_of(event.replaced)}."
    )


@sentence.register
def _(event: SwitchedToPaid) -> str:
    return f"Switched to a paid {_period_words(event.contract, event.rate)}.{_cleared_words(event.cleared)}"


@sentence.register
def _(event: RenewalOptionChanged) -> str:
    if event.option is None:
        return "No renewal option is set: a monthly contract follows, on the same plan and members."
    return f"The next contract will be {option_words(event.option)}."


@sentence.register
def _(event: Upgraded) -> str:
    article = "an" if event.contract.term is ContractTerm.ANNUAL else "a"
    said = f"Upgraded to {article} {_period_words(event.contract, event.rate)}."
    if event.raised_option is None:
        return said
    return f"{said} The renewal option is raised with it: {option_words(event.raised_option)}."


@sentence.register
def _(event: ServiceFeesPosted) -> str:
    return f"Service fees were posted for the days before {event.billed_up_to}: {_sum_words(event.posted)}."


@sentence.register
def _(event: ContractRenewed) -> str:
    return f"The next contract has begun: {_period_words(event.contract, event.rate)}."


@sentence.register
def _(event: CancellationReserved) -> str:
    return f"The cancellation is reserved for {event.date}{_in_place_of(event.replaced)}."


@sentence.register
def _(event: ReservationWithdrawn) -> str:
    what = "switch" if isinstance(event.withdrawn, ReservedSwitch) else "cancellation"
    return f"The {what} reserved for {event.withdrawn.date} is withdrawn; nothing is reserved now."


@sentence.register
def _(event: Canceled) -> str:
    why = {
        "ASKED": "at the customer's wish",
        "RESERVED": "as reserved",
        "TRIAL_ENDED": "at the end of the trial",
        "GRACE_ENDED": "at the end of the grace period",
    }[event.because]
    return (
        f"Canceled {why}; last charges: {_sum_words(event.posted)}.{_cleared_words(event.cleared)} "
        "All data will be permanently deleted."
    )


@sentence.register
def _(event: Erased) -> str:
    return "All data has been permanently deleted."


@sentence.register
def _(event: DomainConfirmed) -> str:
    return "The ownership of the domain is proved; use is no longer restricted."


@sentence.register
def _(event: AccountRenamed) -> str:
    return f"The account goes by its new {event.kind.lower()} name."


@sentence.register
def _(event: RenameHeld) -> str:
    return "The new domain name is held; it takes effect when its ownership is proved."


@sentence.register
def _(event: RenameWithdrawn) -> str:
    return "The change of name is withdrawn; the present name stays."


@sentence.register
def _(event: CommandRefused) -> str:
    return f"{event.command} was refused: {event.message}"


def _contract_words(term: str, plan: str, members: int) -> str:
    return f"{term.lower()} contract on {plan} for {members_words(members)}"


def _period_words(contract: Contract, rate: Rate) -> str:
    words = _contract_words(contract.term, rate.plan, rate.members)
    return f"{words} from {contract.first_day} to {contract.end_day} at {won(rate.price)} a member a month"


def option_words(option: RenewalTerms) -> str:
    """The terms of a next contract in words (R24)."""
    plan = f"on {option.plan}" if option.plan else "on the plan that it has then"
    members = f"for {members_words(option.members)}" if option.members else "for the members that it has then"
    return f"{option.term.lower()} {plan} {members}"


def _sum_words(lines: Sequence[LedgerLine]) -> str:
    return won(sum(line.amount for line in lines)) if lines else "nothing"


def _cleared_words(cleared: ReservedSwitch | ReservedCancellation | None) -> str:
    if cleared is None:
        return ""
    what = "switch" if isinstance(cleared, ReservedSwitch) else "cancellation"
    return f" The {what} reserved for {cleared.date} is cleared."


def _in_place_of(replaced: date | None) -> str:
    return f", in place of the one for {replaced}" if replaced else ""
