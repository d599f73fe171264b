"""Forecasts: quotes of a cancellation (R28, R30) and upcoming events (R23)."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import pytest
from support.scenario_builder import (
    ScenarioBuilder,
    book_of,
    catalogue,
    day,
    default_catalogue,
    fee,
    on,
    posted,
    repayment,
    termination,
)

from subscription import deadlines
from subscription.deadlines import DeadlineKind
from subscription.forecast import Quote, automatic_cancellation, future_events, upcoming
from subscription.refusals import Refusal, RefusalCode
from subscription.state import Subscription

NEXT_YEAR = "2028-01-01"


def annual() -> ScenarioBuilder:
    """Build an annual contract for 2027: lite for 10 members, 30,000 a month, 36,000 at list price."""
    return ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10)


def quote(subscription: ScenarioBuilder, date: str) -> Quote:
    found = subscription.quoted(date)
    assert isinstance(found, Quote), found
    return found


def refused(subscription: ScenarioBuilder, date: str) -> RefusalCode:
    found = subscription.quoted(date)
    assert isinstance(found, Refusal), found
    return found.code


# -- quotes ------------------------------------------------------------------------------------------


def test_r30_quote_for_today_equals_immediate_charge() -> None:
    subscription = annual().at("2027-07-16 12:00")
    result = quote(subscription, "2027-07-16")
    assert posted(result.ledger) == [
        fee("2027-07-01", "2027-07-16", 14_516),  # 15/31 × 30,000 = 14,516.1
        repayment("2027-01-01", "2027-07-16", 38_903),  # 6 × 6,000 + 15/31 × 6,000 = 38,903.2
        termination("2027-07-16", NEXT_YEAR, 16_548),  # 10% × (16/31 + 5) × 30,000 = 16,548.4
    ]
    assert (result.penalty, result.total) == (55_451, 69_967)
    subscription.send("cancel")
    assert tuple(subscription.ledger[-3:]) == result.ledger


def test_r30_later_quote_includes_service_fees_until_then() -> None:
    result = quote(annual().at("2027-05-20"), "2027-07-01")
    assert posted(result.ledger) == [
        fee("2027-05-01", "2027-06-01", 30_000),
        fee("2027-06-01", "2027-07-01", 30_000),
        repayment("2027-01-01", "2027-07-01", 36_000),
        termination("2027-07-01", NEXT_YEAR, 18_000),
    ]
    assert [line.effective_at for line in result.ledger] == [
        on("2027-06-01"),
        on("2027-07-01"),
        on("2027-07-01"),
        on("2027-07-01"),
    ]


def test_r30_the_day_after_the_end_is_quoted_as_free() -> None:
    result = quote(annual().at("2027-12-10"), NEXT_YEAR)
    assert (result.penalty, result.free_on) == (0, None)
    assert posted(result.ledger) == [fee("2027-12-01", NEXT_YEAR, 30_000)]
    assert quote(annual().at("2027-12-10"), "2027-12-31").free_on == day(NEXT_YEAR)


def test_r30_quote_renews_as_the_reservation_would() -> None:
    # While a cancellation is reserved, renewals are monthly at list price, despite the option (R24).
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10)
    subscription.send("change_renewal_option", term="ANNUAL", plan="premium")
    result = quote(subscription, "2027-02-15")
    assert posted(result.ledger) == [
        fee("2027-01-01", "2027-02-01", 36_000),
        fee("2027-02-01", "2027-02-15", 18_000),  # 14/28 × 36,000
    ]


def test_r30_a_quote_takes_the_prices_that_will_be_in_force() -> None:
    later = catalogue("2027-02-01", announced_on="2027-01-02", plans={"lite": {"list": 4_000}})
    subscription = ScenarioBuilder.paid(
        "2027-01-01", "MONTHLY", book_of(default_catalogue(), later), plan="lite", members=10
    )
    assert posted(quote(subscription, "2027-03-01").ledger) == [
        fee("2027-01-01", "2027-02-01", 36_000),
        fee("2027-02-01", "2027-03-01", 40_000),
    ]


def test_r30_a_quote_in_trial_is_of_nothing() -> None:
    result = quote(ScenarioBuilder.requested("2027-01-01 09:00"), "2027-01-20")
    assert (result.ledger, result.total, result.penalty, result.free_on) == ((), 0, 0, None)


def test_r28_a_quote_is_for_any_date_from_today_to_the_latest() -> None:
    subscription = annual().at("2027-03-10 12:00")
    assert isinstance(subscription.quoted("2027-03-10"), Quote)
    assert isinstance(subscription.quoted(NEXT_YEAR), Quote)
    assert refused(subscription, "2027-03-09") is RefusalCode.DATE_IN_THE_PAST
    assert refused(subscription, "2028-01-02") is RefusalCode.DATE_TOO_LATE


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
def test_r28_dates_beyond_all_calendars_are_refused(date: str) -> None:
    assert refused(annual(), date) in (RefusalCode.DATE_IN_THE_PAST, RefusalCode.DATE_TOO_LATE)


def test_r28_quote_is_refused_when_reserved_switch_blocks_it() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00").send(
        "switch_to_paid", date="2027-01-20", term="ANNUAL"
    )
    assert refused(subscription, "2027-01-25") is RefusalCode.SWITCH_RESERVED
    assert quote(subscription, "2027-01-01").total == 0


def test_r28_quote_ignores_the_replaced_cancellation() -> None:
    subscription = annual()
    before = quote(subscription, "2027-07-01")
    assert quote(subscription.send("cancel", date="2027-05-01"), "2027-07-01") == before


def test_r31_there_is_nothing_to_quote_after_the_end() -> None:
    subscription = annual().send("cancel")
    assert refused(subscription, "2027-01-02") is RefusalCode.SUBSCRIPTION_ENDED
    assert refused(subscription.at("2027-01-02"), "2027-01-02") is RefusalCode.SUBSCRIPTION_ENDED


# -- upcoming events ---------------------------------------------------------------------------------


def upcoming_events(subscription: ScenarioBuilder, limit: int = 12) -> list[tuple[str, str]]:
    return [
        (f"{found.entry.at:%Y-%m-%d %H:%M}", found.entry.event)
        for found in upcoming(subscription.state, subscription.now, subscription.book, limit)
    ]


def test_r15_forecast_of_a_trial() -> None:
    assert upcoming_events(ScenarioBuilder.requested("2027-01-01 09:00")) == [
        ("2027-01-31 09:00", "TRIAL_ENDED"),
        ("2027-03-02 09:00", "CANCELED"),
        ("2027-03-02 09:00", "ERASED"),
    ]


def test_r23_forecast_of_a_contract_includes_charges() -> None:
    subscription = annual().at("2027-11-20")
    found = upcoming(subscription.state, subscription.now, subscription.book, limit=4)
    assert upcoming_events(subscription, limit=4) == [
        ("2027-12-01 00:00", "SERVICE_FEES_POSTED"),
        ("2028-01-01 00:00", "SERVICE_FEES_POSTED"),
        ("2028-01-01 00:00", "CONTRACT_RENEWED"),
        ("2028-02-01 00:00", "SERVICE_FEES_POSTED"),
    ]
    assert [line for each in found for line in posted(each.ledger)] == [
        fee("2027-11-01", "2027-12-01", 30_000),
        fee("2027-12-01", "2028-01-01", 30_000),
        fee("2028-01-01", "2028-02-01", 36_000),  # without an option: a monthly contract at list price
    ]


def test_r23_forecast_starts_now_before_deadlines_are_processed() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00")
    found = upcoming(subscription.state, on("2027-02-15"), subscription.book)
    assert [each.entry.event for each in found] == ["CANCELED", "ERASED"]


def test_r23_forecast_matches_later_events() -> None:
    subscription = annual().send("cancel", date="2027-09-15").at("2027-02-10")
    promised = [
        each.entry for each in upcoming(subscription.state, subscription.now, subscription.book, limit=50)
    ]
    known = len(subscription.timeline)
    happened = subscription.at("2027-12-31").timeline[known:]
    in_either_tense = {"message": ""}
    assert [each.model_copy(update=in_either_tense) for each in happened] == [
        each.model_copy(update=in_either_tense) for each in promised
    ]


def test_r31_nothing_comes_after_erasure() -> None:
    assert upcoming_events(annual().send("cancel").at("2027-01-02")) == []


def test_forecast_step_calculates_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    calculated: list[Subscription] = []
    deadlines_of = deadlines._deadlines

    def recorded(state: Subscription) -> Iterator[tuple[datetime, DeadlineKind]]:
        calculated.append(state)
        return deadlines_of(state)

    monkeypatch.setattr(deadlines, "_deadlines", recorded)
    subscription = ScenarioBuilder.paid("2027-01-10", "MONTHLY")
    calculated.clear()
    assert len(list(islice(future_events(subscription.state, subscription.book), 4))) == 4
    assert len(calculated) == 4


# -- automatic cancellation --------------------------------------------------------------------------


def canceled(subscription: ScenarioBuilder) -> tuple[str, str] | None:
    event = automatic_cancellation(subscription.state, subscription.book)
    return (f"{event.at:%Y-%m-%d %H:%M}", event.because) if event else None


def test_r34_trial_is_canceled_at_the_end_of_its_grace_period() -> None:
    """30 days of trial and 30 of grace from 1 January 09:00 end on 2 March."""
    subscription = ScenarioBuilder.requested("2027-01-01 09:00")
    assert canceled(subscription) == ("2027-03-02 09:00", "GRACE_ENDED")
    assert canceled(subscription.copy().at("2027-02-10")) == ("2027-03-02 09:00", "GRACE_ENDED")
    assert canceled(subscription.copy().send("cancel", date="2027-02-05")) == ("2027-02-05 00:00", "RESERVED")
    assert canceled(subscription.send("switch_to_paid", date="2027-02-05", term="ANNUAL")) is None


def test_r34_contract_is_canceled_only_by_reservation() -> None:
    monthly = ScenarioBuilder.paid("2027-01-15", "MONTHLY")
    assert canceled(monthly) is None
    # Renewals before the reserved date do not end the forecast.
    assert canceled(monthly.send("cancel", date="2027-07-01")) == ("2027-07-01 00:00", "RESERVED")
    assert canceled(monthly.send("withdraw_reservation")) is None


def test_r34_trial_without_grace_is_canceled_at_its_end() -> None:
    book = book_of(catalogue(trial={"grace_days": 0}))
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", book)
    assert canceled(subscription) == ("2027-01-31 09:00", "TRIAL_ENDED")
