"""The versions that a workflow carries on, compared with the complete price book (R19, R35)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, on
from support.sizes import SIZES

from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, PriceBook, RenewalPolicy
from subscription.events import Event
from subscription.forecast import upcoming
from subscription.price_needs import needed_versions, price_needs

from .generated_subscriptions import SUBSCRIPTION_SETTINGS, GeneratedSubscription, subscriptions
from .test_price_rises import price_books


def with_policies(version: Catalogue, notice_days: int, *, sells_lite: bool) -> Catalogue:
    plans = {id_: plan for id_, plan in version.plans.items() if sells_lite or id_ != "lite"}
    return version.model_copy(
        update={"renewal": RenewalPolicy(price_notice_days=notice_days), "plans": plans}
    )


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    """Draw versions with notice periods of up to a year; lite is not sold by some of them."""
    drawn = draw(price_books())
    return book_of(
        *(
            with_policies(
                version,
                draw(st.sampled_from([0, 30, 30, 90, 365])),
                sells_lite=draw(st.sampled_from([True, True, False])),
            )
            for version in drawn.versions
        )
    )


class Carrier(ScenarioBuilder):
    """A subscription that carries on only the needed versions, after each event as after a new run."""

    def _happen(self, event: Event) -> None:
        super()._happen(event)
        self.book = needed_versions(self.book, price_needs(self.state))


@dataclass
class Loader:
    """Publishes each version on the day of its announcement; a subscription then loads its book again."""

    complete: PriceBook

    def load(self, subscription: Carrier, moment: datetime) -> None:
        published = self.complete.announced_by(day_of(moment))
        if published.revision > subscription.book.revision:
            subscription.book = needed_versions(published, price_needs(subscription.state))


def repeated(generated: GeneratedSubscription, loader: Loader | None) -> Carrier:
    """Send the same commands to a subscription that carries on only the needed versions."""
    complete, requested_at = generated.subscription.book, generated.requested_at
    book = loader.complete.announced_by(day_of(requested_at)) if loader else complete
    subscription = Carrier(generated.request, requested_at, book)
    for sent in generated.sent:
        if loader:
            loader.load(subscription, sent.at)
        subscription.at(sent.at).decide_parsed(sent.command, sent.found)
    if loader:
        loader.load(subscription, generated.subscription.now)
    return subscription.at(generated.subscription.now)


@settings(SUBSCRIPTION_SETTINGS, max_examples=SIZES.rule_cases // 2)
@given(subscriptions(books=books()), st.integers(0, 800))
def test_r19_r35_needed_versions_give_the_same_documents(generated: GeneratedSubscription, days: int) -> None:
    complete = generated.subscription
    end = complete.now + timedelta(days=days)
    carried = repeated(generated, None)
    assert carried.answers == complete.answers
    if not complete.state.state.is_terminal:
        ahead = [upcoming(each.state, each.now, each.book) for each in (carried, complete)]
        assert ahead[0] == ahead[1]
        dates = [day_of(end), complete.today + timedelta(days=1)]
        assert [carried.quoted(date) for date in dates] == [complete.quoted(date) for date in dates]
    loaded = repeated(generated, Loader(complete.book))
    loader = Loader(complete.book)
    loader.load(loaded, end)
    complete.at(end)
    for subscription in (carried.at(end), loaded.at(end)):
        assert [event.model_dump_json() for event in subscription.events] == [
            event.model_dump_json() for event in complete.events
        ]
        assert subscription.ledger == complete.ledger
    assert carried.book == needed_versions(complete.book, price_needs(complete.state))


def monthly_versions(count: int) -> PriceBook:
    """Return a book whose versions each begin a month after the one before it, from January 2025 on."""
    months = ((2025 + number // 12, number % 12 + 1) for number in range(count))
    return book_of(*(catalogue(f"{year}-{month:02}-01") for year, month in months))


@pytest.mark.parametrize("term", ["ANNUAL", "MONTHLY"])
def test_r19_new_contract_carries_one_of_36_versions(term: str) -> None:
    subscription = Carrier.paid("2027-12-10", term, monthly_versions(36))
    assert list(subscription.book.by_number) == [36]
    assert subscription.book.revision == 36


def test_r35_renewal_carries_what_was_announced_in_time() -> None:
    """The next period begins on 10 January, at the prices of what had been announced by 11 December."""
    book = book_of(*monthly_versions(36).versions, catalogue("2027-12-20"))
    subscription = Carrier.paid("2027-12-10", "MONTHLY", book)
    assert list(subscription.at("2028-01-01 09:00").book.by_number) == [36, 37]
    assert list(subscription.at("2028-01-10 09:00").book.by_number) == [37]


@pytest.mark.parametrize("notice_days", [30, 0])
def test_r35_reserved_switch_carries_what_was_announced_at_its_day(notice_days: int) -> None:
    versions = monthly_versions(36).versions
    book = book_of(*(with_policies(version, notice_days, sells_lite=True) for version in versions))
    subscription = Carrier.requested("2027-10-20 09:00", book)
    subscription.send("switch_to_paid", date="2027-12-15", term="ANNUAL").at("2027-12-14 09:00")
    assert subscription.state.last_at == on("2027-11-19 09:00")  # the end of the trial
    assert list(subscription.book.by_number) == [34, 35, 36]
    assert list(subscription.at("2027-12-15 09:00").book.by_number) == [36]


def test_r19_discontinued_plan_keeps_the_last_version_that_sold_it() -> None:
    first, *later = monthly_versions(36).versions
    book = book_of(first, *(with_policies(version, 30, sells_lite=False) for version in later))
    subscription = Carrier.requested("2025-01-10 09:00", book, plan="lite")
    subscription.send("switch_to_paid", term="ANNUAL").at("2027-12-20")
    assert list(subscription.book.by_number) == [1, 36]
    assert subscription.book.with_versions([catalogue("2028-01-01")]).revision == 37


def test_r24_discontinued_plan_of_the_renewal_option_keeps_its_version() -> None:
    first, *later = monthly_versions(36).versions
    book = book_of(first, *(with_policies(version, 30, sells_lite=False) for version in later))
    subscription = Carrier.paid("2025-01-10", "ANNUAL", book, plan="premium")
    subscription.send("change_renewal_option", term="ANNUAL", plan="lite").at("2025-12-20")
    assert list(subscription.book.by_number)[:2] == [1, 12]
    assert subscription.at("2026-01-10").state.plan == "lite"
