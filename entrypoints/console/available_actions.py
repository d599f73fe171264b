"""Available actions and their effects, as decided by the rules."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from itertools import islice

from starter.client import CurrentState
from subscription.apply import apply_all
from subscription.business_calendar import day_of
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
    confirmation_for,
)
from subscription.contract import ContractTerm
from subscription.decide import Decision, ExternalFacts, decide
from subscription.events import Event, ServiceFeesPosted
from subscription.forecast import (
    ChangeQuote,
    Quote,
    future_events,
    quote_cancellation,
    quote_switch,
    quote_upgrade,
)
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode
from subscription.request import TermAgreement
from subscription.state import State, Subscription

_FEES_SHOWN = 2
_LOOKED_AHEAD = 40


class Action(StrEnum):
    SWITCH = "switch"
    RENEWAL = "renewal"
    UPGRADE = "upgrade"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"
    RENAME = "rename"
    DOMAIN = "domain"


class UpcomingEvents(Frozen):
    """What happens next if nothing is asked; monthly fees that only repeat themselves may be left out."""

    events: tuple[Event, ...]
    fees_left_out: bool


class CommandPreview(Frozen):
    """What a command would cause at once, and what would happen next if nothing else were asked."""

    caused: tuple[Event, ...]
    coming: UpcomingEvents


def catalogue_now(standing: CurrentState) -> Catalogue | None:
    return standing.book.in_force(day_of(standing.now))


def plans_to_choose(standing: CurrentState) -> dict[str, Plan]:
    """What is sold today, and the subscription's own plan even if that is sold no more (R19)."""
    catalogue = catalogue_now(standing)
    plans = dict(catalogue.plans) if catalogue else {}
    own = standing.state.plan
    plans.setdefault(own, standing.book.plan_terms(own, day_of(standing.now)))
    return dict(sorted(plans.items(), key=lambda entry: entry[1].rank))


def plans_to_upgrade_to(standing: CurrentState) -> dict[str, Plan]:
    """Those of them that an upgrade does not refuse as lower (R25)."""
    terms, more = current_terms(standing), standing.state.members + 1
    verdicts = {
        plan: decide_now(standing, Upgrade(plan=plan, members=more, agreed_terms=terms))
        for plan in plans_to_choose(standing)
    }
    return {
        plan: offer
        for plan, offer in plans_to_choose(standing).items()
        if getattr(verdicts[plan], "code", None) is not RefusalCode.LOWERED_BY_UPGRADE
    }


def current_terms(standing: CurrentState) -> tuple[TermAgreement, ...]:
    catalogue = catalogue_now(standing)
    terms = required_terms(catalogue) if catalogue else ()
    return tuple(TermAgreement(id=term.id, version=term.version) for term in terms)


def decide_now(standing: CurrentState, command: Command, token: str = "0" * 32) -> Decision | Refusal:
    return decide(standing.state, command, standing.now, standing.book, ExternalFacts(token=token))


def upcoming_events(state: Subscription, book: PriceBook, most: int) -> UpcomingEvents:
    """The next things that happen if nothing is asked; of a run of service fees the first ones alone."""
    found: list[Event] = []
    fees, left_out = 0, False
    for event, _ in islice(future_events(state, book), _LOOKED_AHEAD):
        fees = fees + 1 if isinstance(event, ServiceFeesPosted) else 0
        if fees > _FEES_SHOWN:
            left_out = True
        else:
            found.append(event)
        if len(found) == most:
            break
    return UpcomingEvents(events=tuple(found), fees_left_out=left_out)


def preview_command(standing: CurrentState, command: Command, events: int = 4) -> CommandPreview | Refusal:
    """What would follow from a command, worked out on a copy."""
    decision = decide_now(standing, command)
    if isinstance(decision, Refusal):
        return decision
    after = apply_all(standing.state, decision.events)
    return CommandPreview(caused=decision.events, coming=upcoming_events(after, standing.book, events))


def quote_of(standing: CurrentState, day: date) -> Quote | Refusal:
    """What cancelling on this day costs; refused where the command would be."""
    return quote_cancellation(standing.state, day, standing.now, standing.book)


def free_day(standing: CurrentState) -> date | None:
    """The day from which an annual contract can be left without a fee; None where every day is free."""
    contract = standing.state.contract
    return contract.end_day if contract and contract.term is ContractTerm.ANNUAL else None


def penalty_from_tomorrow(standing: CurrentState) -> int:
    """The fee that begins tomorrow where today is free, as on the first day of a renewal (R30); else 0."""
    today = day_of(standing.now)
    now, then = quote_of(standing, today), quote_of(standing, today + timedelta(days=1))
    if isinstance(now, Refusal) or isinstance(then, Refusal) or now.penalty:
        return 0
    return then.penalty


def cost_of(standing: CurrentState, command: Command) -> ChangeQuote | None:
    """What a switch or an upgrade costs up to the end of its contract; None for all else."""
    state, now, book = standing.state, standing.now, standing.book
    match command:
        case SwitchToPaid():
            quoted = quote_switch(state, command, now, book)
        case Upgrade():
            quoted = quote_upgrade(state, command, now, book)
        case _:
            return None
    return None if isinstance(quoted, Refusal) else quoted


def refusals(standing: CurrentState) -> Mapping[Action, Refusal | None]:
    """Every action with the reason why it is not possible now; None where it is."""
    return {action: _refusal(standing, trials) for action, trials in _probe_commands(standing).items()}


def _refusal(standing: CurrentState, trials: tuple[Command, ...]) -> Refusal | None:
    """None if one of the commands would be accepted, else why the first would not."""
    decisions = [decide_now(standing, command) for command in trials]
    refused = [decision for decision in decisions if isinstance(decision, Refusal)]
    return refused[0] if len(refused) == len(decisions) else None


def _probe_commands(standing: CurrentState) -> Mapping[Action, tuple[Command, ...]]:
    """For each action, commands of which at least one is accepted if the action is possible at all."""
    state, today = standing.state, day_of(standing.now)
    return {
        Action.SWITCH: (SwitchToPaid(date=today, term=ContractTerm.MONTHLY),),
        Action.RENEWAL: (ChangeRenewalOption(term=None),),
        Action.UPGRADE: _possible_upgrades(standing),
        Action.CANCEL: (Cancel(date=today, confirmation=account_words(state)),),
        Action.WITHDRAW: (WithdrawReservation(),),
        Action.RENAME: _possible_renames(state),
        Action.DOMAIN: (CheckDomain(),),
    }


def _possible_upgrades(standing: CurrentState) -> tuple[Command, ...]:
    state, terms = standing.state, current_terms(standing)
    changes: list[dict[str, object]] = [{"members": state.members + 1}, {"term": ContractTerm.ANNUAL}]
    changes += [{"plan": plan} for plan in plans_to_choose(standing)]
    return tuple(Upgrade(agreed_terms=terms, **change) for change in changes)  # type: ignore[arg-type]


def _possible_renames(state: Subscription) -> tuple[Command, ...]:
    """To a name that no customer can have, and back to the present one where another one is held."""
    back: tuple[Command, ...] = ()
    if state.account and state.rename_claim:
        back = (RenameAccount.model_validate({state.account.kind.lower(): state.account.name}),)
    return (RenameAccount(group="a-name-that-is-not-own"), *back)


def account_words(state: Subscription) -> str:
    """The administrator's account, which confirms a cancellation (R27); empty where there is none."""
    if not state.state.accepts_commands or state.admin_id is None or state.account is None:
        return ""
    return confirmation_for(state.admin_id, state.account)


def admin_closed_state(state: Subscription) -> State | None:
    """The state that keeps NAVER WORKS Admin closed; None where it is open (the table of states)."""
    return None if state.state in (State.TRIAL, State.ACTIVE) else state.state
