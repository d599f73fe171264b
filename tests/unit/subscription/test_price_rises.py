"""Price rises ahead, as the console and notices announce them (R35)."""

from typing import Any

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, day, default_catalogue

from subscription.catalogue import PriceBook
from subscription.price_rises import PlanCost, PriceRise, price_rises


def rises(subscription: ScenarioBuilder, until: str | None = None) -> list[PriceRise]:
    return list(
        price_rises(subscription.state, subscription.now, subscription.book, day(until) if until else None)
    )


def amounts(found: list[PriceRise]) -> list[tuple[str, int, int]]:
    return [(f"{rise.date}", rise.monthly_before, rise.monthly_after) for rise in found]


def dearer(announced_on: str, effective_from: str = "2027-12-01", **plans: Any) -> PriceBook:
    """Return a price book in which basic costs 9,000 instead of 6,000 under an annual contract."""
    plans = plans or {"basic": {"list": 12_000, "annual": 9_000}, "premium": {"list": 15_000}}
    return book_of(default_catalogue(), catalogue(effective_from, announced_on=announced_on, plans=plans))


def renewing(book: PriceBook, **option: Any) -> ScenarioBuilder:
    """Return an annual contract on basic for 10 members from 10 December 2026, which renews as annual."""
    subscription = ScenarioBuilder.paid("2026-12-10", "ANNUAL", book, plan="basic", members=10)
    return subscription.send("change_renewal_option", term="ANNUAL", **option)


def test_r35_rise_is_known_from_its_announcement_on() -> None:
    """The example of R35: announced on 20 November 2027, it applies to the renewal of 2028 only."""
    subscription = renewing(dearer("2027-11-20"))
    assert rises(subscription.at("2027-11-19 23:59")) == []
    for moment in ("2027-11-20", "2027-12-09", "2027-12-10", "2028-12-09 23:59"):
        assert amounts(rises(subscription.at(moment))) == [("2028-12-10", 60_000, 90_000)]
    assert rises(subscription.at("2028-12-10")) == []


def test_r35_rise_announced_in_time_raises_first_renewal() -> None:
    [rise] = rises(renewing(dearer("2027-11-10")).at("2027-11-10"))
    assert rise == PriceRise(
        date=day("2027-12-10"),
        version="2027-12-01",
        plan="basic",
        members=10,
        term="ANNUAL",
        price_before=6_000,
        price_after=9_000,
        monthly_now=60_000,
        monthly_if_annual=90_000,
        cheaper_plans=(PlanCost(plan="lite", monthly=30_000),),
    )


def test_r35_rises_end_with_the_last_day() -> None:
    subscription = renewing(dearer("2027-11-10")).at("2027-11-10")
    assert rises(subscription, until="2027-12-09") == []
    assert len(rises(subscription, until="2027-12-10")) == 1


def test_r35_end_of_the_annual_discount_is_no_rise() -> None:
    """Without a renewal option, the list price follows. Only its own rise, 7,200 to 12,000, is one."""
    unchanged = ScenarioBuilder.paid("2026-12-10", "ANNUAL", plan="basic", members=10)
    assert rises(unchanged) == []
    raised = ScenarioBuilder.paid("2026-12-10", "ANNUAL", dearer("2027-11-10"), plan="basic", members=10)
    [rise] = rises(raised.at("2027-11-10"))
    assert (rise.monthly_now, rise.monthly_before, rise.monthly_after) == (60_000, 72_000, 120_000)
    assert (rise.term, f"{rise.date}", rise.monthly_if_annual) == ("MONTHLY", "2027-12-10", 90_000)


def test_r35_more_members_at_the_renewal_are_no_rise() -> None:
    assert rises(renewing(book_of(default_catalogue()), members=30)) == []
    [rise] = rises(renewing(dearer("2027-11-10"), members=30).at("2027-11-10"))
    assert (rise.monthly_now, rise.monthly_before, rise.monthly_after) == (60_000, 180_000, 270_000)


def test_r35_chosen_plan_is_compared_with_its_own_price() -> None:
    book = dearer("2027-11-10", lite={"annual": 3_300}, basic={"annual": 6_500})
    assert amounts(rises(renewing(book, plan="lite").at("2027-12-05"))) == [("2027-12-10", 30_000, 33_000)]
    assert rises(renewing(book_of(default_catalogue()), plan="premium")) == []


def test_r35_lower_price_is_no_rise() -> None:
    assert rises(renewing(dearer("2027-11-10", basic={"annual": 5_000})).at("2027-11-10")) == []


def test_r35_two_versions_cause_two_rises() -> None:
    book = book_of(
        *dearer("2027-11-10").versions,
        catalogue(
            "2028-12-01", announced_on="2027-11-10", plans={"basic": {"list": 12_000, "annual": 9_500}}
        ),
    )
    assert amounts(rises(renewing(book).at("2027-11-10"))) == [
        ("2027-12-10", 60_000, 90_000),
        ("2028-12-10", 90_000, 95_000),
    ]


def test_r35_monthly_contract_rises_after_the_notice() -> None:
    """Announced 14 days before 15 February, which is too late; 42 days before 15 March."""
    book = dearer("2027-02-01", "2027-02-01", lite={"list": 4_000})
    subscription = ScenarioBuilder.paid("2027-01-15", "MONTHLY", book, plan="lite", members=10)
    assert amounts(rises(subscription.at("2027-02-01"))) == [("2027-03-15", 36_000, 40_000)]


def test_r35_reserved_cancellation_prevents_the_rise() -> None:
    subscription = renewing(dearer("2027-11-10")).at("2027-11-10")
    assert rises(subscription.copy().send("cancel", date="2027-12-10")) == []
    assert rises(subscription.copy().send("cancel", date="2027-12-10").send("withdraw_reservation")) != []


@pytest.mark.parametrize(("reserved", "expected"), [("2027-11-25", 1), ("2027-11-24", 0)])
def test_r35_reserved_switch_rises_if_announced_before(reserved: str, expected: int) -> None:
    subscription = ScenarioBuilder.requested(
        "2027-11-20 09:00", dearer("2027-11-25"), plan="basic", members=1
    )
    subscription.at(reserved).send("switch_to_paid", date="2027-12-15", term="ANNUAL")
    found = rises(subscription.at("2027-11-26"), until="2027-12-31")
    assert amounts(found) == [("2027-12-15", 6_000, 9_000)][:expected]
    assert [rise.monthly_now for rise in found] == [0][:expected]
