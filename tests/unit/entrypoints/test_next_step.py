"""The first action of a subscription page, in each state that calls for one."""

from datetime import datetime

from support.scenario_builder import ScenarioBuilder

from entrypoints.console.available_actions import Action, refusals
from entrypoints.console.next_step import next_step
from starter.client import CurrentState


def step(
    subscription: ScenarioBuilder, *, members_in_use: int = 1, last_export_at: datetime | None = None
) -> Action | None:
    current = CurrentState(
        state=subscription.state,
        now=subscription.now,
        book=subscription.book,
        members_in_use=members_in_use,
        last_export_at=last_export_at,
    )
    return next_step(current, refusals(current))


def test_trial_and_grace_offer_the_switch_unless_reserved() -> None:
    trial = ScenarioBuilder.requested("2026-12-01 09:00")
    assert step(trial) is Action.SWITCH
    assert step(trial.copy().at("2027-01-05")) is Action.SWITCH
    assert step(trial.send("switch_to_paid", date="2026-12-20", term="ANNUAL")) is None


def test_unverified_domain_waits_for_its_data_to_be_safe() -> None:
    claimed = ScenarioBuilder.requested("2026-12-01 09:00", account={"domain": "acme.co.kr"})
    assert step(claimed) is Action.DOMAIN
    # In the grace period, the switch prevents the deletion; a verified domain does not.
    assert step(claimed.copy().at("2027-01-05")) is Action.SWITCH
    assert step(claimed.send("switch_to_paid", date="2026-12-01", term="ANNUAL")) is Action.DOMAIN
    renamed = ScenarioBuilder.paid("2027-01-01", "ANNUAL").send("rename_account", domain="acme.co.kr")
    assert step(renamed) is Action.DOMAIN


def test_lost_domain_offers_the_rename() -> None:
    lost = ScenarioBuilder.requested("2026-12-01 09:00", account={"domain": "acme.co.kr"}).loses("acme.co.kr")
    assert step(lost) is Action.RENAME
    assert step(lost.at("2027-01-05")) is Action.RENAME


def test_reserved_cancellation_offers_export_then_withdrawal() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL").send("cancel", date="2027-12-20")
    assert step(paid, members_in_use=99) is Action.EXPORT
    assert step(paid, last_export_at=paid.now) is Action.WITHDRAW
    assert step(paid.at("2027-12-20")) is None


def test_locked_members_offer_the_upgrade() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY", members=10)
    assert step(paid, members_in_use=10) is None
    assert step(paid, members_in_use=11) is Action.UPGRADE
    # Before the first contract there is no upgrade, and more seats need the switch.
    trial = ScenarioBuilder.requested("2026-12-01 09:00", members=10)
    assert step(trial, members_in_use=11) is Action.SWITCH
