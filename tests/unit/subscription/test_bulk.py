"""The dry run of a bulk command: the effect on each subscription, the sums, and the order of the run."""

from typing import Any

import pytest
from support.scenario_builder import BOOK, ScenarioBuilder, day

from subscription.bulk import UNKNOWN_CUSTOMER, BulkEffect, in_turns, parse_bulk_command, preview_of
from subscription.bulk_effects import effect_of
from subscription.commands import Command
from subscription.refusals import Refusal, RefusalCode


def command(name: str, **argument: Any) -> Command:
    parsed = parse_bulk_command(name, argument)
    assert not isinstance(parsed, Refusal)
    return parsed


def effect(subscription_id: str, customer_id: str = "acme", **amounts: Any) -> BulkEffect:
    return BulkEffect(
        subscription_id=subscription_id,
        customer_id=customer_id,
        sequence=1,
        date=day("2027-01-01"),
        **amounts,
    )


# Ten members: Lite is 3,600 list and 3,000 annual, Basic 7,200 and 6,000.
@pytest.mark.parametrize(
    ("plan", "name", "argument", "amounts"),
    [
        # The example of R30: repayment 36,000 and fee 18,000.
        ("lite", "cancel", {"date": "2027-07-01"}, (30_000, 0, 54_000)),
        ("basic", "change_renewal_option", {"term": "MONTHLY"}, (60_000, 72_000, 0)),
        ("basic", "change_renewal_option", {"term": "ANNUAL", "members": 5}, (60_000, 30_000, 0)),
    ],
)
def test_bulk_effect_has_the_amounts_before_and_after(
    plan: str, name: str, argument: dict[str, Any], amounts: tuple[int, int, int]
) -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan=plan)
    found = effect_of(paid.state, command(name, **argument), paid.now, BOOK, members_in_use=1)
    assert (found.code, found.monthly_before, found.monthly_after, found.charge) == (None, *amounts)


def test_bulk_effect_of_a_reserved_switch_is_that_of_its_date() -> None:
    trial = ScenarioBuilder.requested("2026-12-01 09:00")
    switch = command("switch_to_paid", date="2026-12-20", term="ANNUAL")
    found = effect_of(trial.state, switch, trial.now, BOOK, members_in_use=1)
    assert (found.date, found.monthly_before, found.monthly_after) == (day("2026-12-01"), 0, 60_000)


def test_sums_of_a_dry_run_are_those_of_the_accepted_subscriptions() -> None:
    refused = {"code": RefusalCode.ALREADY_PAID}
    effects = [
        effect("a", monthly_before=1, monthly_after=10, charge=100),
        effect("b", "basil", monthly_before=2, monthly_after=20, charge=200),
        effect("c", monthly_before=4, monthly_after=40, charge=400, **refused),
        effect("none", UNKNOWN_CUSTOMER, code=RefusalCode.SUBSCRIPTION_NOT_FOUND),
    ]
    shown = preview_of(command("cancel", date="2027-01-01"), 1, effects)
    assert (shown.monthly_before, shown.monthly_after, shown.charge) == (3, 30, 300)
    assert (shown.subscriptions, shown.customers, shown.accepted) == (4, 2, 2)
    assert shown.refused == {RefusalCode.ALREADY_PAID: 1, RefusalCode.SUBSCRIPTION_NOT_FOUND: 1}
    assert shown.confirmation == "cancel 2"


def test_bulk_run_takes_one_subscription_of_each_customer_in_turn() -> None:
    effects = [effect("a1"), effect("a2"), effect("a3"), effect("b1", "basil"), effect("c1", "cairo")]
    assert [each.subscription_id for each in in_turns(effects)] == ["a1", "b1", "c1", "a2", "a3"]
