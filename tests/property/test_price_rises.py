"""Announced prices of generated subscriptions under generated catalogue versions (R19, R35)."""

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.scenario_builder import BOOK, catalogue, day

from subscription.business_calendar import start_of
from subscription.catalogue import PriceBook
from subscription.contract import ContractTerm, Rate
from subscription.events import ContractRenewed, SwitchedToPaid
from subscription.price_rises import price_rises

from .generated_subscriptions import SUBSCRIPTION_SETTINGS, GeneratedSubscription, subscriptions

_NOTICE = timedelta(days=30)
_LIST_PRICES = {"lite": 3_600, "basic": 7_200, "premium": 12_000}
percentages = st.sampled_from([50, 80, 100, 120, 150, 200])
notices = st.sampled_from([0, 1, 15, 29, 30, 31, 60, 90])


@st.composite
def price_books(draw: st.DrawFn) -> PriceBook:
    """Draw versions at intervals of months from 2027 on. Half of them are announced late for a renewal."""
    book, effective_from = BOOK, day("2027-01-01")
    for _ in range(draw(st.integers(6, 12))):
        effective_from += timedelta(days=draw(st.integers(20, 120)))
        announced_on = max(effective_from - timedelta(days=draw(notices)), book.versions[-1].announcement_day)
        of_list, of_annual = draw(percentages), draw(st.sampled_from([40, 60, 80, 100]))
        plans: dict[str, Any] = {}
        for plan, price in _LIST_PRICES.items():
            list_price = price * of_list // 100
            plans[plan] = {"list": list_price, "annual": list_price * of_annual // 100}
        newer = catalogue(f"{effective_from}", announced_on=f"{announced_on}", plans=plans)
        assert book.refusal_of(newer, announced_on) is None
        book = book.with_versions([newer])
    return book


def price_by(book: PriceBook, rate: Rate, announced_by: date) -> int:
    """Return the price of the last version in force on the first day of those announced by a day."""
    known = [
        v for v in book.versions if v.announcement_day <= announced_by and v.effective_from <= rate.first_day
    ]
    plan = max(known, key=lambda version: version.effective_from).plans[rate.plan]
    return plan.annual if rate.term is ContractTerm.ANNUAL else plan.list


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True, books=price_books()), st.integers(0, 800))
def test_r35_price_is_the_lower_of_in_force_and_announced(
    generated: GeneratedSubscription, days: int
) -> None:
    subscription = generated.subscription
    subscription.at(subscription.now + timedelta(days=days))
    reserved_on: date | None = None
    for event in subscription.events:
        match event.event:
            case "SWITCH_RESERVED":
                reserved_on = event.switch.reserved_on
            case "RESERVATION_WITHDRAWN":
                reserved_on = None
        if not isinstance(event, SwitchedToPaid | ContractRenewed):
            continue
        first_day = event.rate.first_day
        in_force = price_by(subscription.book, event.rate, first_day)
        if isinstance(event, ContractRenewed):
            announced_by = first_day - _NOTICE
        else:  # a switch for today has cleared its reservation
            announced_by = first_day if event.cleared or reserved_on is None else reserved_on
        announced = price_by(subscription.book, event.rate, announced_by)
        assert event.rate.price == min(in_force, announced)
        named = next(v for v in subscription.book.versions if v.version == event.rate.origin.version)
        plan = named.plans[event.rate.plan]
        assert event.rate.price == (plan.annual if event.rate.term is ContractTerm.ANNUAL else plan.list)


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True, books=price_books()))
def test_r35_no_rise_is_charged_unannounced(generated: GeneratedSubscription) -> None:
    """Without further commands, each rise of the next two years is forecast 30 days before it."""
    now, ahead = generated.subscription, generated.subscription.copy()
    ahead.at(now.now + timedelta(days=730))
    begun = [e for e in ahead.events if e.event in ("SWITCHED_TO_PAID", "UPGRADED", "CONTRACT_RENEWED")]
    for before, after in pairwise(begun):
        first_day, rate = after.rate.first_day, after.rate
        told_at = start_of(first_day - _NOTICE)
        rises = before.rate.plan == rate.plan and rate.price > before.rate.price_under(rate.term)
        if after.event != "CONTRACT_RENEWED" or not rises or told_at < now.now:
            continue
        told = price_rises(now.copy().at(told_at).state, told_at, now.book)
        assert any(rise.date <= first_day and rise.price_after >= rate.price for rise in told)
