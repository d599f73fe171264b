"""Tests of the cost by month of a command that is only tried. The amounts are calculated by hand."""

from datetime import date

from support.scenario_builder import BOOK, ScenarioBuilder, day

from subscription.commands import parse_command
from subscription.decide import ExternalFacts
from subscription.refusals import Refusal, RefusalCode
from subscription.what_if import MONTHS, MonthCost, cost_by_month

TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


def costs(subscription: ScenarioBuilder, on: str, command: str = "", **argument: object) -> list[MonthCost]:
    result = tried(subscription, on, command, **argument)
    assert not isinstance(result, Refusal)
    return result


def tried(
    subscription: ScenarioBuilder, on: str, command: str = "", **argument: object
) -> list[MonthCost] | Refusal:
    parsed = parse_command(command, argument) if command else None
    assert not isinstance(parsed, Refusal)
    found = cost_by_month(subscription.state, parsed, day(on), subscription.now, BOOK)
    return found if isinstance(found, Refusal) else list(found)


def test_what_if_without_a_command_continues_the_contract() -> None:
    # Ten members of Basic at the annual price of 6,000; the next contract is monthly, at 7,200 (R24).
    found = costs(ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-01-10 09:00"), "2027-01-10")
    assert len(found) == MONTHS
    assert [each.month for each in found[:2]] == [date(2027, 1, 1), date(2027, 2, 1)]
    assert [each.total for each in found] == [60_000] * 12 + [72_000]


def test_what_if_upgrade_later_counts_from_its_day() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-01-10 09:00")
    before = paid.state
    found = costs(paid, "2027-03-16", "upgrade", members=20, agreed_terms=TERMS)
    # March: 15/31 of 60,000 is 29,032; 16/31 of 120,000 is 61,935, each rounded down.
    assert [each.total for each in found[:4]] == [60_000, 60_000, 90_967, 120_000]
    assert paid.state == before


def test_what_if_cancellation_has_the_fee_of_its_month() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite").at("2027-01-10 09:00")
    found = costs(paid, "2027-01-10", "cancel", date="2027-07-01", confirmation=paid.state.admin_account)
    # The example of R30: repayment 36,000 and fee 18,000.
    assert [each.penalty for each in found] == [0] * 6 + [54_000] + [0] * 6
    assert [each.service_fees for each in found] == [30_000] * 6 + [0] * 7


def test_what_if_refused_command_returns_its_refusal() -> None:
    trial = ScenarioBuilder.requested("2026-12-01 09:00")
    refused = tried(trial, "2026-12-10", "upgrade", members=20, agreed_terms=TERMS)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_YET_PAID


def test_r36_what_if_below_the_members_is_refused() -> None:
    trial = ScenarioBuilder.requested("2027-01-10 09:00", members=5)
    facts = ExternalFacts(members_in_use=6)
    switch = parse_command("switch_to_paid", {"date": "2027-01-10", "term": "ANNUAL"})
    assert not isinstance(switch, Refusal)
    refused = cost_by_month(trial.state, switch, day("2027-01-10"), trial.now, BOOK, facts)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.MEMBERS_IN_USE
