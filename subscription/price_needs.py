"""The catalogue versions that one subscription can still need: its part of the price book (R19, R35).

A workflow carries these versions only, so that its weight does not grow with the number of published ones.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from subscription.business_calendar import Day, day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.model import Frozen
from subscription.state import ReservedSwitch, Subscription


class PriceNeeds(Frozen):
    """The look-ups that the rules can still make for a subscription.

    They are for `day` or a later one. A contract begins by renewal on `renewal_day` at the earliest, by a
    reserved switch at the prices announced by `reserved_on`. `plans` may no longer be on sale: they are those
    of the contract, the renewal option and the reservation.
    """

    day: Day
    renewal_day: Day
    reserved_on: Day | None
    plans: tuple[str, ...]


def price_needs(state: Subscription) -> PriceNeeds:
    """Return the needs of a subscription: no later event or deadline lies before its last event."""
    assert state.last_at is not None, "a subscription has started before it needs prices"
    day = day_of(state.last_at)
    switch = state.reservation if isinstance(state.reservation, ReservedSwitch) else None
    plans = (state.plan, state.renewal and state.renewal.plan, switch and switch.plan)
    return PriceNeeds(
        day=day,
        renewal_day=state.contract.end_day if state.contract else day,
        reserved_on=switch.reserved_on if switch else None,
        plans=tuple(dict.fromkeys(plan for plan in plans if plan)),
    )


def needed_versions(book: PriceBook, needs: PriceNeeds) -> PriceBook:
    """Return the book without the versions that no rule can look up any more.

    Both effective and announcement dates only increase, so a look-up never finds a version before the one
    that the earliest look-up finds. A plan that is no longer sold also needs the last version that sold it.
    The notice period is that of a version in force on the renewal's day, which may be any from `day` on. A
    version published later may have a longer one: then the workflow loads its book again.
    """
    versions = book.versions
    in_force = _last(versions, (version.effective_from for version in versions), needs.day)
    notice_days = max((v.renewal.price_notice_days for v in versions[in_force:]), default=0)
    announced_by = needs.renewal_day - timedelta(days=notice_days)
    if needs.reserved_on:
        announced_by = min(announced_by, needs.reserved_on)
    announced = _last(versions, (version.announcement_day for version in versions), announced_by)
    first = min(in_force, announced)
    last_sold = {_last_sold(versions[: in_force + 1], plan) for plan in needs.plans}
    return book.only(index for index in range(len(versions)) if index >= first or index in last_sold)


def _last(versions: Sequence[Catalogue], days: Iterable[date], latest: date) -> int:
    """Return the index of the last version whose day is not after `latest`; 0 if there is none."""
    return max(sum(day <= latest for day in days) - 1, 0)


def _last_sold(versions: Sequence[Catalogue], plan: str) -> int | None:
    return max((index for index, version in enumerate(versions) if plan in version.plans), default=None)
