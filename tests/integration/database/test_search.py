"""Search for subscriptions: the database and Temporal return the same result for each predefined filter."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date, timedelta
from typing import Any

import pytest
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from adapters.postgres.pool import Connection
from starter.filters import (
    NAMED_FILTERS,
    Filters,
    customer_is,
    list_filters,
    month_of,
    state_is,
    supported_by_database,
    to_sql,
    week_of,
)
from starter.search import InvalidQueryError, SearchPage
from subscription.state import State

# A Wednesday: its week is from Monday the 15th to Sunday the 21st.
TODAY = date(2027, 3, 17)

CreatedSubscription = tuple[SubscriptionDriver, set[str]]
Factory = Callable[[ServiceEnv, str], Coroutine[Any, Any, CreatedSubscription]]


def at_nine(day: date) -> str:
    return f"{day} 09:00"


def days(*texts: str) -> list[date]:
    return [date.fromisoformat(text) for text in texts]


def this_week(day: date) -> bool:
    return date(2027, 3, 15) <= day <= date(2027, 3, 21)


# Each creates one subscription, and returns the filters that it matches.


def trial(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.requested(at_nine(requested), customer_id=payer)
        return subscription, {"trials-ending"} if this_week(requested + timedelta(days=30)) else set()

    return make


def switching(day: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.requested(
            "2027-02-20 09:00", customer_id=payer
        )  # its trial ends on 22 March
        await subscription.send("switch_to_paid", at="2027-02-20 09:00", date=f"{day}", term="MONTHLY")
        return subscription, {"reservations-due"} if this_week(day) else set()

    return make


def monthly(day: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.paid(at_nine(day), "MONTHLY", customer_id=payer)
        # From 1 February it lasts to the end of February, from 1 March to the end of March.
        return subscription, {"contracts-ending"} if date(2027, 2, 2) <= day <= date(2027, 3, 1) else set()

    return make


def leaving(day: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.paid("2027-01-10 09:00", "ANNUAL", customer_id=payer)
        await subscription.send("cancel", at="2027-01-10 10:00", date=f"{day}")
        return subscription, {"reservations-due"} if this_week(day) else set()

    return make


def suspended(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        account = (
            {"domain": f"{unique_name('lapsed')}.example"}
            if requested.day % 2
            else {"group": unique_name("lapsed")}
        )
        subscription = await service_env.requested(at_nine(requested), customer_id=payer, account=account)
        await subscription.advance_to(at_nine(requested + timedelta(days=30)))
        return subscription, {"suspended"}

    return make


def restricted(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        account = {"domain": f"{unique_name('unverified')}.example"}
        subscription = await service_env.requested(at_nine(requested), customer_id=payer, account=account)
        if requested.day % 2:
            await subscription.send(
                "switch_to_paid", at=at_nine(requested), date=f"{requested}", term="ANNUAL"
            )
        return subscription, {"restricted"}

    return make


def ended(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.requested(at_nine(requested), customer_id=payer)
        await subscription.cancel_and_wait(at_nine(requested))
        return subscription, set()

    return make


def crowded(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        """Create a subscription with two seats, and two members beside the administrator on an odd day."""
        subscription = await service_env.requested(at_nine(requested), customer_id=payer, members=2)
        for member in ("minji", "jisu")[: 1 + requested.day % 2]:
            await service_env.owner.execute(
                "INSERT INTO members (subscription_id, member_id) VALUES ($1, $2)", subscription.id, member
            )
        return subscription, {"over-seats"} if requested.day % 2 else set()

    return make


def in_need(requested: date) -> Factory:
    async def make(service_env: ServiceEnv, payer: str) -> CreatedSubscription:
        subscription = await service_env.requested(at_nine(requested), customer_id=payer)
        await subscription.handle.signal("needs_attention", {"needed": True})
        return subscription, {"needs-attention"}

    return make


# The days are those on both sides of each limit, and one between them.
LIVES = [
    *map(trial, days("2027-02-12", "2027-02-13", "2027-02-16", "2027-02-19", "2027-02-20")),
    *map(switching, days("2027-03-14", "2027-03-15", "2027-03-18", "2027-03-21")),
    *map(monthly, days("2027-01-31", "2027-02-01", "2027-02-02", "2027-02-15", "2027-03-01", "2027-03-02")),
    *map(leaving, days("2027-03-14", "2027-03-15", "2027-03-21", "2027-03-22")),
    *map(suspended, days("2026-12-01", "2026-12-02", "2026-12-27", "2026-12-28")),
    *map(restricted, days("2027-01-05", "2027-01-06", "2027-01-07", "2027-02-02", "2027-02-03")),
    *map(ended, days("2027-01-05", "2027-01-06", "2027-01-24")),
    *map(crowded, days("2027-01-05", "2027-01-06", "2027-01-07")),
    *map(in_need, days("2027-01-05", "2027-01-06", "2027-01-24")),
]


class Population:
    """The subscriptions of one customer, and those that match each filter."""

    def __init__(self, payer: str, made: list[CreatedSubscription]) -> None:
        self.payer = customer_is(payer)
        self.subscriptions = [subscription for subscription, _ in made]
        self.matching = {
            name: {subscription.id for subscription, names in made if name in names} for name in NAMED_FILTERS
        }


@pytest.fixture(scope="module")
async def population(service_env: ServiceEnv) -> AsyncIterator[Population]:
    payer, seats = unique_name("payer"), asyncio.Semaphore(20)

    async def made(make: Factory) -> CreatedSubscription:
        async with seats:
            return await make(service_env, payer)

    found = Population(payer, await gather_all(made(make) for make in LIVES))

    async def are_shown() -> bool:
        needing = await service_env.client.find(NAMED_FILTERS["needs-attention"].on(TODAY) + found.payer)
        return needing.total == len(found.matching["needs-attention"])

    await wait_for("the signals are visible in the lists", are_shown)
    yield found
    # Otherwise the checks of unverified domains would continue during the other tests.
    active = [
        subscription
        for subscription in found.subscriptions
        if (await subscription.status()).state is not State.ERASED
    ]
    await gather_all(subscription.handle.terminate("the tests are over") for subscription in active)


async def all_pages(
    service_env: ServiceEnv, selection: Filters, query: str | None = None
) -> list[SearchPage]:
    pages, after = [], ""
    while True:
        page = await service_env.client.find(selection, query=query, after=after, limit=2)
        pages.append(page)
        if page.next_cursor is None:
            return pages
        after = page.next_cursor


def ids(pages: list[SearchPage]) -> list[str]:
    return [each.subscription_id for page in pages for each in page.subscriptions]


def test_filters_have_different_and_sufficient_matches(population: Population) -> None:
    assert {name: len(found) for name, found in population.matching.items()} == {
        "trials-ending": 3,
        "reservations-due": 5,
        "contracts-ending": 3,
        "suspended": 4,
        "restricted": 5,
        "over-seats": 2,
        "needs-attention": 3,
    }


@pytest.mark.parametrize("name", NAMED_FILTERS)
async def test_predefined_search_returns_matches_page_by_page(
    service_env: ServiceEnv, population: Population, name: str
) -> None:
    pages = await all_pages(service_env, NAMED_FILTERS[name].on(TODAY) + population.payer)
    assert ids(pages) == sorted(population.matching[name])
    assert {page.total for page in pages} == {len(population.matching[name])}
    assert [page.missing_in_database for page in pages if page.missing_in_database] == []


async def test_predefined_search_reads_only_index_of_matches(service_env: ServiceEnv) -> None:
    async with service_env.owner.acquire() as connection, connection.transaction():
        # The tables of a test are small. Without an index, the count would then read the primary key.
        await connection.execute("SET LOCAL enable_seqscan = off")
        for name, named in NAMED_FILTERS.items():
            if supported_by_database(selection := named.on(TODAY)):
                plan = await plan_of_count(connection, selection)
                assert re.search(r" (on|using) subscriptions_(?!pkey)", plan), (name, plan)
                assert "subscriptions_pkey" not in plan, (name, plan)
        plan = await plan_of_count(connection, list_filters(account_name="acme"))
        assert "Index Cond: (subscription_id = account_names.subscription_id)" in plan, plan


async def plan_of_count(connection: Connection, selection: Filters) -> str:
    condition, values = to_sql(selection)
    rows = await connection.fetch(f"EXPLAIN SELECT count(*) FROM subscriptions WHERE {condition}", *values)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("name", sorted({*NAMED_FILTERS} - {"reservations-due", "over-seats"}))
async def test_temporal_and_database_return_same_matches(
    service_env: ServiceEnv, population: Population, name: str
) -> None:
    query = (await service_env.client.find(NAMED_FILTERS[name].on(TODAY) + population.payer)).query
    assert query is not None
    runs = [run.id async for run in service_env.temporal.list_workflows(query)]
    assert sorted(runs) == sorted(f"subscription-{each}" for each in population.matching[name])
    assert sorted(ids(await all_pages(service_env, (), query))) == sorted(population.matching[name])


async def test_reservation_search_uses_no_search_attribute(
    service_env: ServiceEnv, population: Population
) -> None:
    page = await service_env.client.find(NAMED_FILTERS["reservations-due"].on(TODAY) + population.payer)
    assert page.query is None


async def test_query_and_conditions_are_combined(service_env: ServiceEnv, population: Population) -> None:
    selection = state_is(State.ACTIVE) + population.payer
    pages = await all_pages(service_env, selection, "Access = 'RESTRICTED' OR Access = 'NONE'")
    active = ids(await all_pages(service_env, selection))
    assert ids(pages) == [each for each in active if each in population.matching["restricted"]]
    assert pages[0].total == 3  # on the odd days


async def test_workflow_missing_in_database_is_reported(service_env: ServiceEnv) -> None:
    subscription_id, payer = unique_name("stranger"), unique_name("payer-of-a-stranger")
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        id=f"subscription-{subscription_id}",
        task_queue=unique_name("nobody-works-here"),
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(SearchAttributeKey.for_keyword("CustomerId"), payer)]
        ),
    )
    handle = service_env.temporal.get_workflow_handle(f"subscription-{subscription_id}")
    try:

        async def found() -> tuple[str, ...]:
            page = await service_env.client.find(query=f"CustomerId = '{payer}'")
            assert page.subscriptions == ()
            return page.missing_in_database

        assert await wait_for("it is listed", found) == (subscription_id,)
    finally:
        await handle.terminate("the test is over")


BAD_QUERIES = {
    "Plann = 'basic'": "invalid search attribute: Plann",
    "Plan = ": "syntax error$",
    "Plan = 'a') OR (Plan = 'b'": "syntax error$",
    "Plan = 'basic' AND AND": "syntax error near 'and'$",
    "NextDeadline < 'soon'": "unable to parse datetime 'soon'",
    "NeedsAttention = 'yes'": "NeedsAttention of type Bool",
    "Plan = 'basic' ORDER BY Plan": "'ORDER BY' clause",
    "GROUP BY ExecutionStatus": "syntax error",
}


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_invalid_list_query_is_refused_with_temporals_message(
    service_env: ServiceEnv, query: str
) -> None:
    with pytest.raises(InvalidQueryError, match=BAD_QUERIES[query]):
        await service_env.client.find(query=query)


WEEKS = {
    "2027-03-14": ("2027-03-08", "2027-03-15"),
    "2027-03-15": ("2027-03-15", "2027-03-22"),
    "2027-03-21": ("2027-03-15", "2027-03-22"),
    "2027-01-01": ("2026-12-28", "2027-01-04"),
}


@pytest.mark.parametrize("day", WEEKS)
def test_week_starts_on_monday(day: str) -> None:
    monday, next_monday = map(date.fromisoformat, WEEKS[day])
    assert week_of(date.fromisoformat(day)) == (monday, next_monday)


def test_month_ends_at_start_of_next_month() -> None:
    assert month_of(date(2027, 12, 31)) == (date(2027, 12, 1), date(2028, 1, 1))
