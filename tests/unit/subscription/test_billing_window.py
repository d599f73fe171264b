"""The billing window: only service fees are delayed by an offset (R23)."""

from collections import Counter
from datetime import datetime, timedelta

from support.scenario_builder import ScenarioBuilder, book_of, catalogue, day, on

from subscription.billing_window import offset_in_window, wake_time
from subscription.business_calendar import start_of
from subscription.catalogue import PriceBook
from subscription.deadlines import next_deadline
from subscription.state import Subscription

HOUR = timedelta(hours=1)


def with_id(id: str, subscription: ScenarioBuilder) -> ScenarioBuilder:
    subscription.state = subscription.state.model_copy(update={"subscription_id": id})
    return subscription


def wake_time_of(state: Subscription, book: PriceBook) -> datetime:
    deadline = next_deadline(state)
    assert deadline is not None
    return wake_time(state, deadline, book)


def test_billing_offset_is_sha_256_of_subscription_id() -> None:
    # The digest of "abc" starts with ba7816bf: 3,128,432,319 / 2³² of an hour is 2,622.22 seconds.
    assert round(offset_in_window("abc", HOUR).total_seconds(), 2) == 2622.22
    assert offset_in_window("abc", timedelta(0)) == timedelta(0)


def test_billing_offsets_are_distributed_evenly() -> None:
    quarters = Counter(
        offset_in_window(f"subscription-{number}", HOUR) // (HOUR / 4) for number in range(10_000)
    )
    assert set(quarters) == {0, 1, 2, 3}
    assert all(2_400 < number < 2_600 for number in quarters.values())


def test_r23_only_service_fee_waits_for_its_offset() -> None:
    subscription = with_id("abc", ScenarioBuilder.paid("2027-01-10", "ANNUAL"))
    first = start_of(day("2027-02-01"))
    assert wake_time_of(subscription.state, book_of(catalogue())) == first + offset_in_window("abc", HOUR)
    at_once = catalogue(billing={"spread_minutes": 0})
    assert wake_time_of(subscription.state, book_of(at_once)) == first


def test_r23_customer_visible_deadlines_are_not_delayed() -> None:
    book = book_of(catalogue())
    renewed = ScenarioBuilder.paid("2027-01-01", "MONTHLY")
    assert wake_time_of(renewed.state, book) == on("2027-02-01")
    cancelled = ScenarioBuilder.paid("2027-01-10", "ANNUAL").send("cancel", date="2027-02-01")
    assert wake_time_of(cancelled.state, book) == on("2027-02-01")
    trial = ScenarioBuilder.requested("2026-12-20 10:00")
    assert wake_time_of(trial.state, book) == trial.state.trial_ends_at


def test_billing_window_defaults_to_one_hour() -> None:
    assert book_of(catalogue(billing=None)).billing_window == HOUR


def test_billing_window_is_that_of_the_newest_version() -> None:
    newer = catalogue("2027-07-01", billing={"spread_minutes": 7})
    assert book_of(catalogue(), newer).billing_window == timedelta(minutes=7)
