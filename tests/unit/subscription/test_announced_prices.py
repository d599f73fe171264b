"""Announced prices: what begins without a command costs no more than announced in time (R35)."""

from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, day, default_catalogue, fee

from subscription.catalogue import PriceBook
from subscription.events import ContractRenewed
from subscription.forecast import future_events
from subscription.refusals import RefusalCode


def basic(annual: int, list_price: int = 12_000) -> dict[str, Any]:
    return {"basic": {"annual": annual, "list": list_price}, "premium": {"list": 15_000, "annual": 14_000}}


def dearer(announced_on: str) -> PriceBook:
    """Return a price book in which basic costs 9,000 instead of 6,000 under an annual contract."""
    newer = catalogue("2027-12-01", announced_on=announced_on, plans=basic(9_000))
    return book_of(default_catalogue(), newer)


def annual_contract(book: PriceBook, first_day: str = "2026-12-10") -> ScenarioBuilder:
    subscription = ScenarioBuilder.paid(first_day, "ANNUAL", book, plan="basic", members=1)
    return subscription.send("change_renewal_option", term="ANNUAL")


def price_on(subscription: ScenarioBuilder, moment: str) -> int:
    return subscription.copy().at(moment).state.rate.price


@pytest.mark.parametrize(
    ("announced_on", "first_renewal", "second_renewal"),
    [
        ("2027-11-20", 6_000, 9_000),  # 20 days before the renewal: too late for it
        ("2027-11-10", 9_000, 9_000),  # 30 days before
        ("2027-11-11", 6_000, 9_000),
    ],
)
def test_r35_renewal_pays_prices_announced_30_days_before(
    announced_on: str, first_renewal: int, second_renewal: int
) -> None:
    subscription = annual_contract(dearer(announced_on))
    assert price_on(subscription, "2027-12-10") == first_renewal
    assert price_on(subscription, "2028-12-10") == second_renewal


@pytest.mark.parametrize("announced_on", ["2027-11-20", "2027-11-10"])
def test_r35_r19_commands_pay_prices_in_force_or_of_the_contract(announced_on: str) -> None:
    book = dearer(announced_on)
    more = annual_contract(book).at("2027-12-05").send("upgrade", members=3)
    assert (more.state.rate.price, more.state.rate.members) == (6_000, 3)
    new = ScenarioBuilder.requested("2027-12-01 09:00", book, plan="basic").at("2027-12-05")
    assert new.send("switch_to_paid", date="2027-12-05", term="ANNUAL").state.rate.price == 9_000


@pytest.mark.parametrize(
    ("announced_on", "price"),
    [("2027-11-25", 9_000), ("2027-11-26", 6_000)],
)
def test_r35_reserved_switch_pays_prices_announced_when_reserved(announced_on: str, price: int) -> None:
    subscription = ScenarioBuilder.requested("2027-11-20 09:00", dearer(announced_on), plan="basic")
    subscription.at("2027-11-25 10:00").send("switch_to_paid", date="2027-12-15", term="ANNUAL")
    assert price_on(subscription, "2027-12-15") == price


def test_r35_replaced_reservation_counts_from_its_own_day() -> None:
    subscription = ScenarioBuilder.requested("2027-11-20 09:00", dearer("2027-11-26"), plan="basic")
    subscription.at("2027-11-25 10:00").send("switch_to_paid", date="2027-12-15", term="ANNUAL")
    subscription.at("2027-11-26 10:00").send("switch_to_paid", date="2027-12-16", term="ANNUAL")
    assert price_on(subscription, "2027-12-16") == 9_000


def test_r35_lower_price_applies_without_notice() -> None:
    cheaper = catalogue("2027-12-01", announced_on="2027-12-01", plans={"basic": {"annual": 5_000}})
    subscription = annual_contract(book_of(default_catalogue(), cheaper))
    assert price_on(subscription, "2027-12-10") == 5_000


def test_r35_each_price_is_the_lower_one_on_its_own() -> None:
    """The list price rises and the annual price falls: a renewal pays the lower one of each."""
    mixed = catalogue("2027-12-01", plans=basic(annual=5_000, list_price=8_000))
    subscription = annual_contract(book_of(default_catalogue(), mixed))
    rate = subscription.at("2027-12-10").state.rate
    assert (rate.list_price, rate.annual_price) == (7_200, 5_000)


def test_r35_later_version_does_not_hide_an_announced_rise() -> None:
    """8,000 is announced in time; 9,000, which replaces it, is not: the renewal pays 8,000."""
    book = book_of(
        default_catalogue(),
        catalogue("2027-11-01", announced_on="2027-10-01", plans=basic(8_000)),
        catalogue("2027-12-01", announced_on="2027-11-20", plans=basic(9_000)),
    )
    assert price_on(annual_contract(book), "2027-12-10") == 8_000


def test_r35_plan_missing_in_announced_versions_pays_price_in_force() -> None:
    """Basic is not sold by the version announced in time, so there is no announced price to keep."""
    book = book_of(
        default_catalogue(),
        catalogue("2027-11-01", announced_on="2027-10-01", plans={"basic": None}),
        catalogue("2027-12-01", announced_on="2027-11-20", plans=basic(9_000)),
    )
    assert price_on(annual_contract(book), "2027-12-10") == 9_000


def test_r35_first_catalogue_needs_no_announcement() -> None:
    """No version was announced 30 days before the first day, so the price in force applies."""
    book = book_of(catalogue("2027-12-01", plans=basic(9_000)))
    subscription = ScenarioBuilder.paid("2027-12-02", "MONTHLY", book, plan="basic", members=1)
    assert price_on(subscription, "2028-01-02") == 12_000


def test_r35_notice_days_are_those_of_the_version_in_force() -> None:
    newer = catalogue(
        "2027-12-01", announced_on="2027-11-20", plans=basic(9_000), renewal={"price_notice_days": 20}
    )
    subscription = annual_contract(book_of(default_catalogue(), newer))
    assert price_on(subscription, "2027-12-10") == 9_000


def test_r35_monthly_contracts_follow_a_rise_after_their_notice() -> None:
    newer = catalogue("2027-02-01", plans={"lite": {"list": 4_000}})
    subscription = ScenarioBuilder.paid(
        "2027-01-15", "MONTHLY", book_of(default_catalogue(), newer), plan="lite", members=10
    )
    # The period from 15 February was announced 14 days before; that from 15 March, 42 days before.
    assert subscription.at("2027-04-01").ledger_tuples[-3:] == [
        fee("2027-02-01", "2027-03-01", 36_000),
        fee("2027-03-01", "2027-03-15", 16_258),  # 14/31 × 36,000 = 16,258.1
        fee("2027-03-15", "2027-04-01", 21_935),  # 17/31 × 40,000 = 21,935.5
    ]


@given(
    st.lists(
        st.tuples(st.integers(1, 90), st.integers(0, 90), st.sampled_from([4_000, 6_000, 9_000, 11_000])),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_r35_no_renewal_costs_more_than_announced_in_time(versions: list[tuple[int, int, int]]) -> None:
    """Each version: days after the one before, days of notice, annual price."""
    book, effective_from = book_of(default_catalogue()), day("2027-01-01")
    for days, notice, price in versions:
        effective_from += timedelta(days=days)
        announced_on = max(effective_from - timedelta(days=notice), book.versions[-1].announcement_day)
        newer = catalogue(f"{effective_from}", announced_on=f"{announced_on}", plans=basic(price))
        assert book.refusal_of(newer, announced_on) is None
        book = book.with_versions([newer])
    for event, state in islice(future_events(annual_contract(book, "2026-12-01").state, book), 60):
        if isinstance(event, ContractRenewed):
            first_day = event.contract.first_day
            in_time = [v for v in book.versions if v.announcement_day <= first_day - timedelta(days=30)]
            announced = PriceBook(versions=tuple(in_time)).plan_terms("basic", first_day).annual
            in_force = book.plan_terms("basic", first_day).annual
            assert state.rate.annual_price == min(announced, in_force)


def problems(newer_announced: str | None, last_announced: str | None, today: str) -> list[tuple[str, str]]:
    last = catalogue("2027-01-01", announced_on=last_announced)
    newer = catalogue("2027-06-01", announced_on=newer_announced)
    refused = book_of(last).refusal_of(newer, day(today))
    if refused is None:
        return []
    assert refused.code is RefusalCode.CATALOGUE_NOT_PUBLISHABLE
    return [(str(problem.field), str(problem.reason)) for problem in refused.problems]


@pytest.mark.parametrize(
    ("newer", "last", "today", "expected"),
    [
        ("2027-03-01", None, "2027-03-01", []),
        ("2027-03-01", None, "2027-02-01", []),
        (None, None, "2027-06-01", []),
        ("2027-03-01", None, "2027-03-02", [("announced_on", "ANNOUNCED_IN_THE_PAST")]),
        ("2027-05-31", None, "2027-06-01", [("announced_on", "ANNOUNCED_IN_THE_PAST")]),
        ("2026-12-31", None, "2026-11-01", [("announced_on", "ANNOUNCED_EARLIER")]),
        ("2026-12-31", "2026-12-31", "2026-12-31", []),
        ("2026-12-30", "2026-12-31", "2026-11-01", [("announced_on", "ANNOUNCED_EARLIER")]),
        (None, None, "2027-06-02", [("effective_from", "IN_THE_PAST")]),
    ],
)
def test_r35_announcement_is_not_before_publication_or_earlier_ones(
    newer: str | None, last: str | None, today: str, expected: list[tuple[str, str]]
) -> None:
    assert problems(newer, last, today) == expected


def test_r35_announcement_after_effective_date_is_refused() -> None:
    with pytest.raises(ValidationError, match="must not be after effective_from, 2027-06-01"):
        catalogue("2027-06-01", announced_on="2027-06-02")
