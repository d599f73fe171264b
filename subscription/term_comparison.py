"""Comparison of a monthly and an annual contract, and the day on which the annual one pays off (R19, R30)."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from subscription.business_calendar import Day, start_of
from subscription.catalogue import PriceBook
from subscription.commands import SwitchToPaid, Upgrade
from subscription.contract import ContractTerm
from subscription.decide import NO_FACTS, ExternalFacts
from subscription.due_events import advance, cancellation_event, is_within_horizon
from subscription.forecast import (
    canceled_at,
    day_of_change,
    future_events,
    state_after,
    with_required_terms,
)
from subscription.model import Frozen
from subscription.refusals import Refusal
from subscription.state import Subscription


class TermCost(Frozen):
    """The cost of one term, in KRW before VAT.

    `price` is per member and month, `monthly` that of a whole month, both on the first day. `total` is the
    cost of all days from the first day of the comparison to its end.
    """

    price: int
    monthly: int
    total: int


class TermComparison(Frozen):
    """A monthly and an annual contract with the same plan and members from `first_day` to `end_day`.

    `end_day` is the end of the annual contract, when a cancellation is free. On `pays_off_from` and every
    later day up to `end_day`, a cancellation makes the annual contract cost no more than the monthly one,
    early-termination charges included. None if it costs more even at its end.
    """

    first_day: Day
    end_day: Day
    plan: str
    members: int
    fee_percent: int
    monthly: TermCost
    annual: TermCost
    pays_off_from: Day | None

    @property
    def saving(self) -> int:
        """Return what the annual contract saves up to its end; negative if it costs more."""
        return self.monthly.total - self.annual.total


def compare_terms(
    state: Subscription,
    change: SwitchToPaid | Upgrade,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> TermComparison | None:
    """Compare the two terms of a change. The term of `change` itself does not matter.

    None if the change is refused, or if no monthly contract is possible.
    """
    if not is_within_horizon(state, now):
        return None
    state = advance(state, now, book)
    day = day_of_change(change, now)
    if isinstance(change, Upgrade):
        change = with_required_terms(change, now, book)
    monthly = _state_with(ContractTerm.MONTHLY, state, change, now, book, facts)
    annual = _state_with(ContractTerm.ANNUAL, state, change, now, book, facts)
    if monthly is None or annual is None:
        return None
    assert annual.contract is not None
    end_day = annual.contract.end_day
    monthly_until = _cost_until(monthly, day, end_day, book)
    annual_until = _cost_until(annual, day, end_day, book)
    return TermComparison(
        first_day=day,
        end_day=end_day,
        plan=annual.plan,
        members=annual.members,
        fee_percent=annual.contract.fee_percent,
        monthly=_term_cost(monthly, monthly_until(end_day)),
        annual=_term_cost(annual, annual_until(end_day)),
        pays_off_from=_pays_off_from(monthly_until, annual_until, day, end_day),
    )


def _state_with(
    term: ContractTerm,
    state: Subscription,
    change: SwitchToPaid | Upgrade,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts,
) -> Subscription | None:
    """Return the state whose contract has this term; None if the rules refuse it."""
    if _is_no_change(term, state, change):
        return state
    found = state_after(state, change.model_copy(update={"term": term}), now, book, facts)
    return None if isinstance(found, Refusal) else found


def _is_no_change(term: ContractTerm, state: Subscription, change: SwitchToPaid | Upgrade) -> bool:
    """Return whether an upgrade would keep everything as it is, which the rules refuse (R25)."""
    if isinstance(change, SwitchToPaid) or state.contract is None:
        return False
    chosen = (change.plan or state.plan, change.members or state.members, term)
    return chosen == (state.plan, state.members, state.contract.term)


def _term_cost(state: Subscription, total: int) -> TermCost:
    return TermCost(price=state.rate.price, monthly=state.rate.monthly, total=total)


def _pays_off_from(
    monthly_until: Callable[[date], int], annual_until: Callable[[date], int], first_day: date, end_day: date
) -> date | None:
    # Backward: usually the very first step before the end already costs more.
    found, day = None, end_day
    while day > first_day and annual_until(day) <= monthly_until(day):
        found, day = day, day - timedelta(days=1)
    return found


def _cost_until(
    state: Subscription, first_day: date, end_day: date, book: PriceBook
) -> Callable[[date], int]:
    """Return the function of the cost of a cancellation on a day up to `end_day`, from `first_day` on.

    The states on the way are calculated once. A cancellation is reserved for the end, so a monthly contract
    is followed by monthly ones (R24).
    """
    start = canceled_at(state, end_day, first_day)
    course = [(start_of(first_day), start, 0)]
    for event, after in future_events(start, book):
        if event.at >= start_of(end_day):
            break
        course.append((event.at, after, course[-1][-1] + sum(line.amount for line in event.lines)))

    def cost_until(day: date) -> int:
        end = start_of(day)
        before, posted = next((state, posted) for at, state, posted in reversed(course) if at < end)
        return posted + sum(line.amount for line in cancellation_event(before, end, "RESERVED").lines)

    return cost_until
