"""Available actions of a subscription and their effects, as decided by the domain rules."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from itertools import islice

from starter.client import CurrentState
from subscription.apply import apply_all
from subscription.business_calendar import day_of, first_of_next_month
from subscription.catalogue import Catalogue, Plan, PriceBook, required_terms
from subscription.commands import (
    Cancel,
    ChangeRenewalOption,
    CheckDomain,
    Command,
    RenameAccount,
    SwitchToPaid,
    Upgrade,
    WithdrawReservation,
)
from subscription.contract import ContractTerm
from subscription.decide import Decision, ExternalFacts, decide
from subscription.events import Event, ServiceFeesPosted
from subscription.forecast import (
    ChangeQuote,
    Quote,
    future_events,
    quote_cancellation,
    quote_renewal,
    quote_switch,
    quote_upgrade,
)
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode
from subscription.request import TermAgreement
from subscription.state import Access, State, Subscription

_FEES_SHOWN = 2
_MAX_LOOKAHEAD = 40


class Action(StrEnum):
    SWITCH = "switch"
    RENEWAL = "renewal"
    UPGRADE = "upgrade"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"
    RENAME = "rename"
    DOMAIN = "domain"
    EXPORT = "export"


class UpcomingEvents(Frozen):
    """The next events if no command is sent. `fees_left_out` is True if repeated monthly fees are omitted."""

    events: tuple[Event, ...]
    fees_left_out: bool


class CommandPreview(Frozen):
    """Immediate events of a command, and the events that would follow without further commands."""

    caused: tuple[Event, ...]
    coming: UpcomingEvents


def catalogue_now(current: CurrentState) -> Catalogue | None:
    return current.book.in_force(day_of(current.now))


def plans_to_choose(current: CurrentState) -> dict[str, Plan]:
    """Return the plans on sale today, and the subscription's own plan even if it is not on sale (R19)."""
    catalogue = catalogue_now(current)
    plans = dict(catalogue.plans) if catalogue else {}
    own = current.state.plan
    plans.setdefault(own, current.book.plan_terms(own, day_of(current.now)))
    return dict(sorted(plans.items(), key=lambda entry: entry[1].rank))


def plans_to_upgrade_to(current: CurrentState) -> dict[str, Plan]:
    """Return the plans that an upgrade does not refuse as lower (R25)."""
    terms, more = current_terms(current), current.state.members + 1
    decisions = {
        plan: decide_now(current, Upgrade(plan=plan, members=more, agreed_terms=terms))
        for plan in plans_to_choose(current)
    }
    return {
        plan: offer
        for plan, offer in plans_to_choose(current).items()
        if getattr(decisions[plan], "code", None) is not RefusalCode.LOWERED_BY_UPGRADE
    }


def current_terms(current: CurrentState, day: date | None = None) -> tuple[TermAgreement, ...]:
    """Return agreements to all required terms of a day; by default today."""
    catalogue = current.book.in_force(day or day_of(current.now))
    terms = required_terms(catalogue) if catalogue else ()
    return tuple(TermAgreement(id=term.id, version=term.version) for term in terms)


def decide_now(current: CurrentState, command: Command, token: str = "0" * 32) -> Decision | Refusal:
    facts = ExternalFacts(token=token, members_in_use=current.members_in_use)
    return decide(current.state, command, current.now, current.book, facts)


def upcoming_events(state: Subscription, book: PriceBook, most: int) -> UpcomingEvents:
    """Return the next events if no command is sent; of consecutive service fees only the first two."""
    found: list[Event] = []
    fees, left_out = 0, False
    for event, _ in islice(future_events(state, book), _MAX_LOOKAHEAD):
        fees = fees + 1 if isinstance(event, ServiceFeesPosted) else 0
        if fees > _FEES_SHOWN:
            left_out = True
        else:
            found.append(event)
        if len(found) == most:
            break
    return UpcomingEvents(events=tuple(found), fees_left_out=left_out)


def next_charge(state: Subscription, book: PriceBook) -> Event | None:
    """Return the next event that will charge something if no command is sent; None if none will."""
    coming = (event for event, _ in islice(future_events(state, book), _MAX_LOOKAHEAD))
    return next((event for event in coming if event.lines), None)


def preview_command(current: CurrentState, command: Command, events: int = 4) -> CommandPreview | Refusal:
    """Return the effects of a command, calculated on a copy of the state."""
    decision = decide_now(current, command)
    if isinstance(decision, Refusal):
        return decision
    after = apply_all(current.state, decision.events)
    return CommandPreview(caused=decision.events, coming=upcoming_events(after, current.book, events))


def quote_of(current: CurrentState, day: date) -> Quote | Refusal:
    """Return the cost of a cancellation on this day, or the refusal of the command."""
    return quote_cancellation(current.state, day, current.now, current.book)


def free_day(current: CurrentState) -> date | None:
    """Return the first day without an early-termination fee; None for contracts that have no such fee."""
    contract = current.state.contract
    return contract.end_day if contract and contract.term is ContractTerm.ANNUAL else None


def penalty_from_tomorrow(current: CurrentState) -> int:
    """Return the early-termination fee of tomorrow if today has none, else 0.

    Today has none on the first day of a renewed contract (R30).
    """
    today = day_of(current.now)
    now, then = quote_of(current, today), quote_of(current, today + timedelta(days=1))
    if isinstance(now, Refusal) or isinstance(then, Refusal) or now.penalty:
        return 0
    return then.penalty


def quotes_by_month(current: CurrentState) -> tuple[Quote, ...]:
    """Return the cost of a cancellation today, on each first day of a month, and on the last two days.

    The last day is the free day. Between two of the days before it, the fee lies on a straight line. Empty
    without an annual contract: other cancellations have no fee (R30).
    """
    last, day = free_day(current), day_of(current.now)
    if last is None:
        return ()
    days = {last - timedelta(days=1), last} if day < last else {last}
    while day < last:
        days.add(day)
        day = first_of_next_month(day)
    quotes = [quote_of(current, each) for each in sorted(days)]
    return tuple(quote for quote in quotes if not isinstance(quote, Refusal))


def cost_of(current: CurrentState, command: Command | Refusal) -> ChangeQuote | None:
    """Return the cost of the contract that a command leads to; None if it is refused or leads to none."""
    state, now, book = current.state, current.now, current.book
    facts = ExternalFacts(members_in_use=current.members_in_use)
    quoted: ChangeQuote | Refusal | None
    match command:
        case SwitchToPaid():
            quoted = quote_switch(state, command, now, book, facts)
        case Upgrade():
            quoted = quote_upgrade(state, command, now, book)
        case ChangeRenewalOption():
            quoted = quote_renewal(state, command, now, book, facts)
        case _:
            return None
    return None if isinstance(quoted, Refusal) else quoted


def refusals(current: CurrentState) -> Mapping[Action, Refusal | None]:
    """Return each action with the refusal if it is not possible now, or None if it is."""
    found = {action: _refusal(current, trials) for action, trials in _probe_commands(current).items()}
    return {**found, Action.EXPORT: _export_refusal(current.state)}


def _refusal(current: CurrentState, trials: tuple[Command, ...]) -> Refusal | None:
    """Return None if one of the commands would be accepted, else the refusal of the first one."""
    decisions = [decide_now(current, command) for command in trials]
    refused = [decision for decision in decisions if isinstance(decision, Refusal)]
    return refused[0] if len(refused) == len(decisions) else None


def _export_refusal(state: Subscription) -> Refusal | None:
    """Return the refusal of an export, which is possible until the data is erased (R37)."""
    return Refusal.of(RefusalCode.DATA_ERASED) if state.state.is_terminal else None


def _probe_commands(current: CurrentState) -> Mapping[Action, tuple[Command, ...]]:
    """Return probe commands by action. An action is possible if at least one of its commands is accepted."""
    state, today = current.state, day_of(current.now)
    return {
        Action.SWITCH: _possible_switches(current),
        Action.RENEWAL: (ChangeRenewalOption(term=None),),
        Action.UPGRADE: _possible_upgrades(current),
        Action.CANCEL: (Cancel(date=today, confirmation=account_words(state)),),
        Action.WITHDRAW: (WithdrawReservation(),),
        Action.RENAME: _possible_renames(state),
        Action.DOMAIN: (CheckDomain(),),
    }


def _possible_switches(current: CurrentState) -> tuple[Command, ...]:
    """Return switches for today with the members of the request, and with a seat for each member (R36)."""
    members = max(current.state.members, current.members_in_use or 0)
    today, term = day_of(current.now), ContractTerm.MONTHLY
    return SwitchToPaid(date=today, term=term), SwitchToPaid(date=today, term=term, members=members)


def _possible_upgrades(current: CurrentState) -> tuple[Command, ...]:
    state, terms = current.state, current_terms(current)
    changes: list[dict[str, object]] = [{"members": state.members + 1}, {"term": ContractTerm.ANNUAL}]
    changes += [{"plan": plan} for plan in plans_to_choose(current)]
    return tuple(Upgrade(agreed_terms=terms, **change) for change in changes)  # type: ignore[arg-type]


def _possible_renames(state: Subscription) -> tuple[Command, ...]:
    """Return renames to a name that no customer can have, and to the current name if another is reserved."""
    back: tuple[Command, ...] = ()
    if state.account and state.pending_rename_domain:
        back = (RenameAccount.model_validate({state.account.kind.lower(): state.account.name}),)
    return (RenameAccount(group="a-name-that-is-not-own"), *back)


def account_words(state: Subscription) -> str:
    """Return the administrator's account, which confirms a cancellation (R27); empty if there is none."""
    return (state.admin_account or "") if state.state.accepts_commands else ""


def admin_closed_state(state: Subscription) -> State | None:
    """Return the state in which NAVER WORKS Admin is closed; None if it is open (the table of states)."""
    return state.state if state.access is Access.NONE else None
