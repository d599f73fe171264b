"""Seats: members in use refuse fewer seats at a switch for today and in a renewal option (R36)."""

from collections.abc import Mapping

import pytest
from support.scenario_builder import BOOK, ScenarioBuilder

from subscription.refusals import RefusalCode
from subscription.scenario import ScenarioError, read_scenario, simulate


@pytest.mark.parametrize("argument", [{"members": 6}, {}])
def test_r36_switch_today_below_the_members_is_refused(argument: dict[str, int]) -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00", members=6)
    subscription.members_in_use = 7
    refused = subscription.expect_refusal("switch_to_paid", term="ANNUAL", **argument)
    assert (refused.code, refused.field) == (RefusalCode.MEMBERS_IN_USE, "members")
    assert refused.message.startswith("7 members are in use.")
    subscription.send("switch_to_paid", term="ANNUAL", members=7)
    assert subscription.state.members == 7


def test_r36_choice_of_a_plan_is_checked_before_the_members() -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00", members=6)
    subscription.members_in_use = 7
    refused = subscription.expect_refusal("switch_to_paid", term="ANNUAL", plan="nonesuch")
    assert refused.code is RefusalCode.PLAN_NOT_SOLD


def test_r36_reserved_switch_begins_with_fewer_seats() -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00", members=6)
    subscription.members_in_use = 7
    subscription.send("switch_to_paid", date="2026-12-20", term="MONTHLY", members=2).at("2027-01-01 00:00")
    assert subscription.period == ("MONTHLY", "2026-12-20", "2027-01-20")
    assert subscription.state.members == 2
    assert [line.amount for line in subscription.ledger] == [5574]  # 2 x 7,200 x 12/31, rounded down


@pytest.mark.parametrize("argument", [{"members": 9}, {}])
def test_r36_renewal_option_below_the_members_is_refused(argument: dict[str, int]) -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", members=10)
    subscription.members_in_use = 11 if not argument else 10
    refused = subscription.expect_refusal("change_renewal_option", term="ANNUAL", **argument)
    assert (refused.code, refused.field) == (RefusalCode.MEMBERS_IN_USE, "members")
    subscription.send("change_renewal_option", term="ANNUAL", members=subscription.members_in_use)
    subscription.send("change_renewal_option", term=None)


def test_r36_renewal_with_fewer_seats_is_not_raised() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", members=10)
    subscription.members_in_use = 4
    subscription.send("change_renewal_option", term="ANNUAL", members=4)
    subscription.members_in_use = 9
    subscription.at("2028-01-01 00:00")
    assert (subscription.state.members, subscription.period[1]) == (4, "2028-01-01")


def scenario(*steps: Mapping[str, object]) -> dict[str, object]:
    at = "2027-01-04T09:00:00+09:00"
    return {
        "name": "seats",
        "request": {"at": at, "members": 5},
        "steps": [{"at": at, **step} for step in steps],
        "until": "2027-02-01T00:00:00+09:00",
    }


def test_r36_scenario_reports_the_members_in_use() -> None:
    switch = {"switch_to_paid": {"date": "2027-01-04", "term": "ANNUAL"}}
    steps = {"members_in_use": {"count": 6}}, switch, {"members_in_use": {"count": 5}}, switch
    result = simulate(read_scenario(scenario(*steps)), BOOK, "sub-1")
    assert [(outcome.command, outcome.code) for outcome in result.outcomes] == [
        ("members_in_use", None),
        ("switch_to_paid", "MEMBERS_IN_USE"),
        ("members_in_use", None),
        ("switch_to_paid", None),
    ]


@pytest.mark.parametrize("argument", [{"count": 0}, {"count": True}, {"count": "7"}, {}, None, 7])
def test_r36_scenario_with_an_invalid_count_is_refused(argument: object) -> None:
    with pytest.raises(ScenarioError, match=r"Enter \{count: N\}, with a whole number from 1 to 1,000,000"):
        read_scenario(scenario({"members_in_use": argument}))
