"""Before and after of a change, as its confirmation page shows it."""

from support.scenario_builder import ScenarioBuilder, day

from entrypoints.console.available_actions import CommandPreview, preview_command
from entrypoints.console.change_summary import ChangeSummary, NextCharge, summary_of
from starter.client import CurrentState
from subscription.refusals import Refusal


def summary(subscription: ScenarioBuilder, command: str, **argument: object) -> ChangeSummary | None:
    current = CurrentState(state=subscription.state, now=subscription.now, book=subscription.book)
    parsed = subscription.read(command, argument)
    assert not isinstance(parsed, Refusal)
    foreseen = preview_command(current, parsed)
    assert isinstance(foreseen, CommandPreview)
    return summary_of(current, parsed, foreseen)


def test_r25_upgrade_summary_has_both_sides_and_vat() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10).at("2027-10-16 09:00")
    found = summary(paid, "upgrade", plan="basic", members=11)
    assert found is not None
    assert (found.before.plan, found.before.price, found.before.monthly, found.before.vat) == (
        "lite",
        3_000,
        30_000,
        3_000,
    )
    assert (found.after.price, found.after.monthly, found.after.vat) == (6_000, 66_000, 6_600)
    # 16/31 of 66,000 is 34,064; then two whole months. VAT: 3,406 and twice 6,600.
    assert (found.total, found.total_vat) == (166_064, 16_606)
    # October: 15/31 of 30,000 is 14,516.
    assert found.next_charge == NextCharge(date=day("2027-11-01"), amount=48_580)


def test_r24_renewal_summary_counts_from_the_next_contract() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10)
    found = summary(paid, "change_renewal_option", term="ANNUAL", members=5)
    assert found is not None
    assert (found.starts_on, found.next_charge) == (day("2028-01-01"), None)
    assert (found.before.monthly, found.after.monthly, found.total) == (30_000, 15_000, 180_000)
    paid.send("cancel", date="2027-06-01")
    assert summary(paid, "change_renewal_option", term="ANNUAL", members=5) is None
