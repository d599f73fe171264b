"""Price rises ahead of a subscription, computed by running the rules forward on a copy of the state (R35)."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from subscription.business_calendar import Day, day_of
from subscription.catalogue import PriceBook
from subscription.contract import ContractTerm, Rate
from subscription.due_events import advance
from subscription.events import ContractRenewed, SwitchedToPaid
from subscription.forecast import future_events
from subscription.model import Frozen
from subscription.state import ReservedSwitch, Subscription

_LONGEST_CONTRACT = timedelta(days=366)


class PlanCost(Frozen):
    """The cost of a whole month on a plan in KRW."""

    plan: str
    monthly: int


class PriceRise(Frozen):
    """A higher price per member that a contract pays from its first day, `date`, if no command is sent.

    `price_before` is the price of the same plan and term before the version. `monthly_now` is the cost of a
    whole month until `date`, 0 before the switch to paid. `monthly_if_annual` is that of an annual contract
    from `date` on. `cheaper_plans` are on sale today; their costs are those of the same members from `date`
    on. A cancellation on `date` is free of charge (R30).
    """

    date: Day
    version: str
    plan: str
    members: int
    term: ContractTerm
    price_before: int
    price_after: int
    monthly_now: int
    monthly_if_annual: int
    cheaper_plans: tuple[PlanCost, ...]

    @property
    def monthly_before(self) -> int:
        return self.price_before * self.members

    @property
    def monthly_after(self) -> int:
        return self.price_after * self.members


def price_rises(
    state: Subscription, now: datetime, book: PriceBook, until: date | None = None
) -> tuple[PriceRise, ...]:
    """Return the rises by the versions announced so far, in order; with `until`, those up to that day."""
    state = advance(state, now, book)
    today = day_of(now)
    return tuple(_rises(state, today, book.announced_by(today), until))


def _rises(
    before: Subscription, today: date, announced: PriceBook, until: date | None
) -> Iterator[PriceRise]:
    last_day = _last_day(today, announced) if until is None else until
    for event, after in future_events(before, announced):
        if day_of(event.at) > last_day:
            return
        if isinstance(event, SwitchedToPaid | ContractRenewed):
            rate, former = event.rate, price_before(before, event.rate, announced)
            if rate.price > former:
                yield PriceRise(
                    date=rate.first_day,
                    version=rate.origin.version,
                    plan=rate.plan,
                    members=rate.members,
                    term=rate.term,
                    price_before=former,
                    price_after=rate.price,
                    monthly_now=before.rate.monthly if before.contract else 0,
                    monthly_if_annual=rate.annual_price * rate.members,
                    cheaper_plans=tuple(_cheaper_plans(before, rate, today, announced)),
                )
        before = after


def _last_day(today: date, announced: PriceBook) -> date:
    """Return a day by which every contract has begun again at the prices of the newest version."""
    if not announced.versions:
        return today
    notice = max(version.renewal.price_notice_days for version in announced.versions)
    newest = announced.versions[-1].effective_from
    return max(today, newest) + timedelta(days=notice) + _LONGEST_CONTRACT


def price_before(before: Subscription, rate: Rate, book: PriceBook) -> int:
    """Return the price of the new contract's plan and term without the versions since the present one.

    They are the prices of the present contract, of its first day for another plan, and of the day on which a
    switch was reserved.
    """
    if isinstance(before.reservation, ReservedSwitch):
        known_on = before.reservation.reserved_on
    else:
        assert before.contract is not None
        if before.plan == rate.plan:
            return before.rate.price_under(rate.term)
        known_on = before.contract.first_day
    first_sold = next(v.effective_from for v in book.versions if rate.plan in v.plans)
    prices = book.prices(rate.plan, max(known_on, first_sold))
    return prices.annual if rate.term is ContractTerm.ANNUAL else prices.list


def _cheaper_plans(before: Subscription, rate: Rate, today: date, book: PriceBook) -> Iterator[PlanCost]:
    """Yield the plans that a renewal option, or another switch, can choose today for less."""
    on_sale = book.in_force(today)
    for plan in on_sale.plans_by_rank if on_sale else ():
        prices = (
            book.renewal_prices(plan, rate.first_day)
            if before.contract
            else book.announced_prices(plan, rate.first_day, today)
        )
        price = prices.annual if rate.term is ContractTerm.ANNUAL else prices.list
        if price < rate.price:
            yield PlanCost(plan=plan, monthly=price * rate.members)
