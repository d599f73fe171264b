"""Available actions and their effects, as decided by the rules."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from itertools import islice

from starter.client import Standing
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
from subscription.decide import Accepted, Findings, decide
from subscription.events import Event, ServiceFeesPosted
from subscription.forecast import (
    ChangeQuote,
    Quote,
    events_to_come,
    quote_cancellation,
    quote_switch,
    quote_upgrade,
)
from subscription.model import Frozen
from subscription.refusals import Code, Refused
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


class Ahead(Frozen):
    """What happens next if nothing is asked; monthly fees that only repeat themselves may be left out."""

    events: tuple[Event, ...]
    fees_left_out: bool


class Outlook(Frozen):
    """What a command would cause at once, and what would happen next if nothing else were asked."""

    caused: tuple[Event, ...]
    coming: Ahead


def catalogue_now(standing: Standing) -> Catalogue | None:
    return standing.book.in_force(day_of(standing.now))


def plans_to_choose(standing: Standing) -> dict[str, Plan]:
    """What is sold today, and the subscription's own plan even if that is sold no more (R19)."""
    catalogue = catalogue_now(standing)
    plans = dict(catalogue.plans) if catalogue else {}
    own = standing.state.plan
    plans.setdefault(own, standing.book.offer(own, day_of(standing.now)))
    return dict(sorted(plans.items(), key=lambda entry: entry[1].rank))


def plans_to_upgrade_to(standing: Standing) -> dict[str, Plan]:
    """Those of them that an upgrade does not refuse as lower (R25)."""
    terms, more = current_terms(standing), standing.state.members + 1
    verdicts = {
        plan: judge(standing, Upgrade(plan=plan, members=more, agreed_terms=terms))
        for plan in plans_to_choose(standing)
    }
    return {
        plan: offer
        for plan, offer in plans_to_choose(standing).items()
        if getattr(verdicts[plan], "code", None) is not Code.LOWERED_BY_UPGRADE
    }


def current_terms(standing: Standing) -> tuple[TermAgreement, ...]:
    catalogue = catalogue_now(standing)
    terms = required_terms(catalogue) if catalogue else ()
    return tuple(TermAgreement(id=term.id, version=term.version) for term in terms)


def judge(standing: Standing, command: Command, token: str = "0" * 32) -> Accepted | Refused:
    return decide(standing.state, command, standing.now, standing.book, Findings(token=token))


def coming(state: Subscription, book: PriceBook, most: int) -> Ahead:
    """The next things that happen if nothing is asked; of a run of service fees the first ones alone."""
    found: list[Event] = []
    fees, left_out = 0, False
    for event, _ in islice(events_to_come(state, book), _LOOKED_AHEAD):
        fees = fees + 1 if isinstance(event, ServiceFeesPosted) else 0
        if fees > _FEES_SHOWN:
            left_out = True
        else:
            found.append(event)
        if len(found) == most:
            break
    return Ahead(events=tuple(found), fees_left_out=left_out)


def outlook(standing: Standing, command: Command, events: int = 4) -> Outlook | Refused:
    """What would follow from a command, worked out on a copy."""
    decision = judge(standing, command)
    if isinstance(decision, Refused):
        return decision
    after = apply_all(standing.state, decision.events)
    return Outlook(caused=decision.events, coming=coming(after, standing.book, events))


def quote_of(standing: Standing, day: date) -> Quote | Refused:
    """What cancelling on this day costs; refused where the command would be."""
    return quote_cancellation(standing.state, day, standing.now, standing.book)


def free_day(standing: Standing) -> date | None:
    """The day from which an annual contract can be left without a fee; None where every day is free."""
    contract = standing.state.contract
    return contract.end_day if contract and contract.term is ContractTerm.ANNUAL else None


def penalty_from_tomorrow(standing: Standing) -> int:
    """The fee that begins tomorrow where today is free, as on the first day of a renewal (R30); else 0."""
    today = day_of(standing.now)
    now, then = quote_of(standing, today), quote_of(standing, today + timedelta(days=1))
    if isinstance(now, Refused) or isinstance(then, Refused) or now.penalty:
        return 0
    return then.penalty


def cost_of(standing: Standing, command: Command) -> ChangeQuote | None:
    """What a switch or an upgrade costs up to the end of its contract; None for all else."""
    state, now, book = standing.state, standing.now, standing.book
    match command:
        case SwitchToPaid():
            quoted = quote_switch(state, command, now, book)
        case Upgrade():
            quoted = quote_upgrade(state, command, now, book)
        case _:
            return None
    return None if isinstance(quoted, Refused) else quoted


def refusals(standing: Standing) -> Mapping[Action, Refused | None]:
    """Every action with the reason why it is not possible now; None where it is."""
    return {action: _refusal(standing, trials) for action, trials in _trials(standing).items()}


def _refusal(standing: Standing, trials: tuple[Command, ...]) -> Refused | None:
    """None if one of the commands would be accepted, else why the first would not."""
    decisions = [judge(standing, command) for command in trials]
    refused = [decision for decision in decisions if isinstance(decision, Refused)]
    return refused[0] if len(refused) == len(decisions) else None


def _trials(standing: Standing) -> Mapping[Action, tuple[Command, ...]]:
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


def _possible_upgrades(standing: Standing) -> tuple[Command, ...]:
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
    if not state.state.commandable or state.admin_id is None or state.account is None:
        return ""
    return confirmation_for(state.admin_id, state.account)


def admin_reason(state: Subscription) -> State | None:
    """The state that keeps NAVER WORKS Admin closed; None where it is open (the table of states)."""
    return None if state.state in (State.TRIAL, State.ACTIVE) else state.state
