"""Available actions and the timeline chart: both match the business rules."""

from itertools import pairwise

from support.scenario_builder import ScenarioBuilder

from adapters.translation import Language, Translator
from entrypoints.console.available_actions import (
    Action,
    CommandPreview,
    cost_of,
    plans_to_upgrade_to,
    preview_command,
    quotes_by_month,
    refusals,
    upcoming_events,
)
from entrypoints.console.lifecycle_chart import LifecycleChart, PhaseKind, picture_of
from entrypoints.console.message_formatter import MessageFormatter
from starter.client import CurrentState
from subscription.commands import parse_command
from subscription.refusals import Refusal, RefusalCode


def current_state(subscription: ScenarioBuilder) -> CurrentState:
    return CurrentState(state=subscription.state, now=subscription.now, book=subscription.book)


def available(subscription: ScenarioBuilder) -> set[str]:
    return {
        action.value for action, refused in refusals(current_state(subscription)).items() if refused is None
    }


def chart_of(subscription: ScenarioBuilder) -> LifecycleChart:
    picture = picture_of(current_state(subscription), subscription.events)
    assert picture is not None
    return picture


def segments(subscription: ScenarioBuilder) -> list[tuple[PhaseKind, str, str, bool]]:
    return [
        (stretch.kind, f"{stretch.start:%Y-%m-%d %H:%M}", f"{stretch.end:%Y-%m-%d %H:%M}", stretch.planned)
        for stretch in chart_of(subscription).stretches
    ]


def test_chart_labels_never_cross_on_any_screen() -> None:
    """The widest label, "2027년", takes 42 pixels of a chart that is 650 pixels wide, and 260 on a phone."""
    trial = ScenarioBuilder.requested("2026-12-01 09:00")
    year = ScenarioBuilder.paid("2027-01-01", "ANNUAL")
    monthly = ScenarioBuilder.paid("2027-01-31", "MONTHLY").at("2029-05-02")
    decade = year.copy().at("2037-01-01")
    leaving = year.copy().send("cancel", date="2027-01-04")
    for subscription in (trial, year, monthly, decade, leaving):
        ticks = chart_of(subscription).ticks
        wide, narrow = [t.x for t in ticks if t.wide], [t.x for t in ticks if t.narrow]
        assert set(narrow) <= set(wide)
        for labels, width in ((wide, 650), (narrow, 260)):
            assert all((after - before) * width / 100 >= 42 for before, after in pairwise(labels))
            # The card has a margin of 16 pixels beside the chart.
            assert all(21 - 16 <= x * width / 100 <= width - 21 + 16 for x in labels)
    assert [f"{t.month:%Y-%m}" for t in chart_of(trial).ticks if t.narrow] == ["2027-01"]
    assert {t.month.month for t in chart_of(decade).ticks} == {1}
    assert chart_of(leaving).ticks == ()


def test_chart_merges_successive_contracts_of_one_term() -> None:
    chart = chart_of(ScenarioBuilder.paid("2027-01-01", "MONTHLY").at("2027-06-15"))
    assert len(chart.stretches) > 12
    assert [run.kind for run in chart.runs] == [PhaseKind.MONTHLY]
    assert chart.kinds == (PhaseKind.MONTHLY,)


def test_each_state_offers_its_allowed_actions() -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00")
    assert available(subscription) == {"switch", "cancel", "rename", "export"}
    assert available(subscription.copy().at("2027-01-05")) == {"switch", "cancel", "rename", "export"}
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY")
    assert available(paid) == {"renewal", "upgrade", "cancel", "rename", "export"}
    paid.send("cancel", date="2027-05-01")
    assert available(paid) == {"renewal", "upgrade", "cancel", "withdraw", "rename", "export"}
    assert available(paid.at("2027-05-01")) == set()


def test_unavailable_action_shows_the_rules_reason() -> None:
    why = refusals(current_state(ScenarioBuilder.requested("2026-12-01 09:00")))
    assert {action: refused.code for action, refused in why.items() if refused} == {
        Action.RENEWAL: RefusalCode.NOT_YET_PAID,
        Action.UPGRADE: RefusalCode.NOT_YET_PAID,
        Action.WITHDRAW: RefusalCode.NOTHING_RESERVED,
        Action.DOMAIN: RefusalCode.NO_PROOF_AWAITED,
    }


def test_highest_annual_plan_can_add_members() -> None:
    trial = ScenarioBuilder.requested("2027-01-01 09:00", plan="premium")
    subscription = trial.copy().send("switch_to_paid", term="ANNUAL", members=100_000)
    assert "upgrade" not in available(subscription)
    assert "upgrade" in available(trial.send("switch_to_paid", term="ANNUAL", members=99_999))
    assert list(plans_to_upgrade_to(current_state(subscription.copy()))) != []
    assert list(plans_to_upgrade_to(current_state(ScenarioBuilder.paid("2027-01-01", "MONTHLY")))) == [
        "basic",
        "premium",
    ]


def test_r30_quotes_by_month_end_on_the_free_day() -> None:
    """The example of R30: repayment 36,000 and fee 18,000 on 1 July; nothing on 1 January."""
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite").at("2027-03-10 09:00")
    fees = {f"{quote.date}": quote.penalty for quote in quotes_by_month(current_state(paid))}
    assert list(fees)[:2] == ["2027-03-10", "2027-04-01"]
    assert fees["2027-07-01"] == 54_000
    assert fees["2028-01-01"] == 0
    assert quotes_by_month(current_state(ScenarioBuilder.paid("2027-01-01", "MONTHLY"))) == ()


def test_recently_changed_name_cannot_be_changed() -> None:
    subscription = ScenarioBuilder.requested("2026-12-01 09:00").send("rename_account", group="other")
    assert "rename" not in available(subscription)
    assert "rename" in available(subscription.at("2026-12-02 09:00"))


def test_preview_matches_later_events() -> None:
    subscription = ScenarioBuilder.requested("2026-12-20 10:00")
    command = parse_command("switch_to_paid", {"date": "2027-01-01", "term": "ANNUAL"})
    assert not isinstance(command, Refusal)
    preview = preview_command(current_state(subscription), command)
    assert isinstance(preview, CommandPreview)
    later = subscription.send("switch_to_paid", date="2027-01-01", term="ANNUAL").at("2027-03-01")
    assert (*preview.caused, *preview.coming.events)[: len(later.events) - 1] == tuple(later.events[1:5])


def test_monthly_fees_do_not_hide_later_events() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").send("cancel", date="2027-12-01")
    ahead = upcoming_events(subscription.state, subscription.book, 6)
    assert ahead.fees_left_out
    assert [(event.event, f"{event.at:%Y-%m-%d}") for event in ahead.events] == [
        ("SERVICE_FEES_POSTED", "2027-02-01"),
        ("SERVICE_FEES_POSTED", "2027-03-01"),
        ("CANCELED", "2027-12-01"),
        ("ERASED", "2027-12-01"),
    ]
    soon = ScenarioBuilder.paid("2027-01-01", "ANNUAL").send("cancel", date="2027-02-15")
    assert not upcoming_events(soon.state, soon.book, 6).fees_left_out


def test_r30_forecast_names_each_deadline_with_its_amount() -> None:
    """Ten members on basic: 60,000 a month, list price 72,000; ten of twelve months are left at 10%."""
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").send("cancel", date="2027-03-01")
    messages = MessageFormatter(Translator(Language.EN), subscription.book)
    assert [
        (
            messages.forecast_label(event),
            messages.forecast_detail(event),
            sum(line.amount for line in event.lines),
        )
        for event in upcoming_events(subscription.state, subscription.book, 6).events
    ] == [
        ("Service fees for January 2027", "", 60_000),
        ("Service fees for February 2027", "", 60_000),
        (
            "Reserved cancellation",
            "The subscription is canceled as reserved. All data will be permanently deleted.",
            2 * 12_000 + 60_000,
        ),
        ("Data erasure", "All data is permanently deleted.", 0),
    ]


def test_switch_and_upgrade_costs_are_previewed() -> None:
    subscription = ScenarioBuilder.requested("2026-12-20 10:00", plan="lite", members=10)
    switch = parse_command("switch_to_paid", {"date": "2027-01-01", "term": "ANNUAL"})
    assert not isinstance(switch, Refusal)
    cost = cost_of(current_state(subscription), switch)
    assert cost is not None
    # Ten members at 3,000 for twelve full months.
    assert (cost.monthly, cost.monthly_now, cost.total) == (30_000, 0, 360_000)
    withdrawal = parse_command("withdraw_reservation", {})
    assert not isinstance(withdrawal, Refusal)
    assert cost_of(current_state(subscription), withdrawal) is None


def test_chart_shows_trial_until_cancellation() -> None:
    assert segments(ScenarioBuilder.requested("2026-12-01 09:00")) == [
        (PhaseKind.TRIAL, "2026-12-01 09:00", "2026-12-31 09:00", False),
        (PhaseKind.GRACE, "2026-12-31 09:00", "2027-01-30 09:00", True),
    ]
    assert chart_of(ScenarioBuilder.requested("2026-12-01 09:00")).ends


def test_chart_shows_contracts_and_reservations() -> None:
    subscription = ScenarioBuilder.requested("2026-12-20 10:00").send(
        "switch_to_paid", date="2027-01-01", term="ANNUAL"
    )
    subscription.at("2027-03-01 12:00").send("cancel", date="2027-07-01")
    assert segments(subscription) == [
        (PhaseKind.TRIAL, "2026-12-20 10:00", "2027-01-01 00:00", False),
        (PhaseKind.ANNUAL, "2027-01-01 00:00", "2027-07-01 00:00", False),
    ]
    picture = chart_of(subscription)
    assert picture.reserved == 100.0
    assert picture.today is not None
    assert 0 < picture.today < 100


def test_annual_upgrade_starts_a_new_chart_segment() -> None:
    subscription = (
        ScenarioBuilder.paid("2027-01-01", "MONTHLY").at("2027-01-10 09:00").send("upgrade", term="ANNUAL")
    )
    assert [(kind, start) for kind, start, _, _ in segments(subscription)][:2] == [
        (PhaseKind.MONTHLY, "2027-01-01 09:00"),
        (PhaseKind.ANNUAL, "2027-01-10 09:00"),
    ]


def test_every_event_has_a_message_in_both_languages() -> None:
    subscription = ScenarioBuilder.requested("2026-12-20 10:00", account={"domain": "acme.co.kr"}).proves(
        "acme.co.kr"
    )
    subscription.send("rename_account", domain="other.co.kr").send("rename_account", domain="acme.co.kr")
    subscription.send("switch_to_paid", date="2027-01-05", term="ANNUAL").send("withdraw_reservation")
    subscription.at("2027-01-20").send("switch_to_paid", term="ANNUAL").send("rename_account", group="other")
    subscription.send("change_renewal_option", term="MONTHLY", plan="lite").send("upgrade", plan="premium")
    subscription.at("2028-02-01").send("cancel", date="2028-03-01").at("2028-03-01")
    assert len({event.event for event in subscription.events}) == 16
    for language in Language:
        messages = MessageFormatter(Translator(language), subscription.book)
        for event in subscription.events:
            assert messages.event(event)
            assert "%" not in messages.event(event)
