"""Queries, reconciliation reads and invoicing with 100,000 subscriptions of a year in the database.

There are only rows and no workflows, so only the database work is measured.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.batch import Batch
from activities.invoicing import InvoicingActivities
from activities.reconciliation.record_page import page_of_ids
from activities.reconciliation.record_snapshot import recorded_page
from activities.reconciliation.scope import Scope
from adapters.postgres.pool import Pool, create_pool
from benchmarks.database_fixtures import SUBSCRIPTIONS_A_CUSTOMER, copy_template, create_template, id_of
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.implementations import fields
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from starter.filters import NAMED_FILTERS, customer_is, state_is
from starter.queries import SubscriptionQueries
from starter.request_context import load_request_context
from subscription.account import Account, AccountKind
from subscription.business_calendar import KST, add_months, day_of, first_of_month
from subscription.catalogue import PriceBook
from subscription.invoice import IssueInvoices
from subscription.reconciliation import ROTATION_NIGHTS
from subscription.request import Request
from subscription.state import State
from subscription.validation import parse_strict

_MONTHS = 12
"""A whole year, because a subscription has some rows only once: its account, its request and its switch."""
_COPIED_AT_ONCE = 10_000
_PAGES = 10
_PAGE_SIZE = 100
_LARGE = 10_000
"""The number of rows from which on a table should not be read by a sequential scan."""


async def large_tables(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    number = sizes.rows
    filled = Figure(f"writing {number:,} subscriptions with {_MONTHS} months each to the database", "s")
    size = Figure("database size per subscription-year", "KB", 18)
    slowest = Figure(f"read model with {number:,} subscriptions: slowest query", "ms")
    scanned = Figure("read model: sequential scans of large tables", "", 0)
    night = Figure("reconciliation: reading 100 subscriptions from the database", "ms")
    invoiced = Figure("invoices issued", "1/s")
    env.on_progress(f"Writing {number:,} subscriptions…")
    today = day_of(datetime.now(KST))
    empty = await _database_size(env.owner)
    async with create_pool(env.worker_url, "worksub_worker") as pool:
        await create_template(pool, env.book, today, _MONTHS)
        begun = time.perf_counter()
        for first in range(0, number, _COPIED_AT_ONCE):
            await copy_template(env.owner, range(first, min(first + _COPIED_AT_ONCE, number)))
        filled.add(time.perf_counter() - begun)
        await env.owner.execute("VACUUM ANALYZE")
        # One transaction updated each counter dozens of times; the service does not cause such bloat.
        async with env.owner.acquire() as connection:
            await connection.execute("VACUUM FULL customer_event_counters")
            # It reads the table. Statistics that are flushed later would count that for a query.
            await connection.execute("SELECT pg_stat_force_next_flush()")
        size.add((await _database_size(env.owner) - empty) / number / 1000)
        env.on_progress("Running queries…")
        queries = await _query_times(env, number)
        slowest.add(max(milliseconds for milliseconds, _ in queries.values()))
        scanned.add(sum(len(scans) for _, scans in queries.values()))
        for query, (milliseconds, scans) in queries.items():
            if scans:
                env.on_progress(f"{query}: sequential scan of {', '.join(scans)} in {milliseconds:.0f} ms.")
        night.add(await _milliseconds_a_page(pool))
        env.on_progress("Issuing invoices…")
        invoiced.add(await _invoices_a_second(pool, add_months(first_of_month(today), -1)))
    return [filled, size, slowest, scanned, night, invoiced]


async def _database_size(owner: Pool) -> int:
    size: int = await owner.fetchval("SELECT pg_database_size(current_database())")
    return size


async def _query_times(env: BenchmarkEnvironment, number: int) -> Mapping[str, tuple[float, list[str]]]:
    """Return each read of the client library with its milliseconds and its scans of large tables.

    A count of most subscriptions reads the table, because that is faster than an index.
    """
    today = datetime.now(KST).date()
    times = {}
    async with create_pool(env.reader_url, "worksub_reader", connections=1) as pool:
        for name, query in _queries(pool, id_of(number // 2), number, today, env.book).items():
            await query()
            before = await _sequential_scans(env.owner, pool)
            begun = time.perf_counter()
            result = await query()
            milliseconds = (time.perf_counter() - begun) * 1000
            after = await _sequential_scans(env.owner, pool)
            scans = [table for table in after if after[table] > before[table]]
            counts_most = isinstance(result, int) and result > number / 2
            times[name] = (milliseconds, [] if counts_most else scans)
    return times


def _queries(
    pool: Pool, subscription_id: str, number: int, today: Any, book: PriceBook
) -> dict[str, Callable[[], Awaitable[Any]]]:
    read = SubscriptionQueries(pool)
    customer = f"customer-{number // 2 // SUBSCRIPTIONS_A_CUSTOMER}"
    month = add_months(first_of_month(today), -1)
    request = parse_strict(
        Request, {**fields(book), "request_id": "an-unknown-request", "customer_id": customer}
    )
    queries: dict[str, Callable[[], Awaitable[Any]]] = {
        "status": lambda: read.snapshot(subscription_id),
        "timeline": lambda: read.timeline(subscription_id),
        "ledger": lambda: read.ledger(subscription_id),
        "adjustments": lambda: read.adjustments(subscription_id),
        "certificates": lambda: read.certificates(subscription_id),
        "holder of a name": lambda: read.check_name(Account(kind=AccountKind.GROUP, name="an-unknown-name")),
        "request context": lambda: load_request_context(pool, request),
        "list": lambda: read.select((), after=subscription_id, limit=51),
        "list of a customer": lambda: read.select(customer_is(customer), after="", limit=51),
        "list of a state": lambda: read.select(state_is(State.TRIAL), after="", limit=51),
        "invoices of a month": lambda: read.invoices(month=month, limit=51),
        "invoices of a customer": lambda: read.invoices(customer_id=customer, limit=51),
        "notices": lambda: read.notices(limit=51),
    }
    for name, ready_made in NAMED_FILTERS.items():
        selection = ready_made.on(today)
        if all(condition.column for condition in selection):
            queries[f"list {name}"] = lambda chosen=selection: read.select(chosen, after="", limit=51)  # type: ignore[misc]
            queries[f"count {name}"] = lambda chosen=selection: read.count(chosen)  # type: ignore[misc]
    return queries


async def _sequential_scans(owner: Pool, reader: Pool) -> Mapping[str, int]:
    """Return the number of sequential scans of each table so far, including the reader's latest query."""
    await reader.fetchval("SELECT pg_stat_force_next_flush()")
    await reader.fetchval("SELECT 1")
    scans = await owner.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE n_live_tup > $1", _LARGE
    )
    return {row["relname"]: row["seq_scan"] for row in scans}


async def _milliseconds_a_page(pool: Pool) -> float:
    begun, after = time.perf_counter(), ""
    for _ in range(_PAGES):
        ids = await page_of_ids(pool, after, _PAGE_SIZE, Scope.everything(ROTATION_NIGHTS))
        page = await recorded_page(pool, list(ids), Batch("bench"))
        after = page[-1].id if page else ""
    return (time.perf_counter() - begun) * 1000 / _PAGES


async def _invoices_a_second(pool: Pool, month: Any) -> float:
    """Return the rate of invoicing over consecutive pages."""
    environment, invoicing = ActivityEnvironment(), InvoicingActivities(pool)
    page = IssueInvoices(month=month, issued_on=datetime.now(UTC).astimezone(KST).date())
    begun, issued = time.perf_counter(), 0
    for _ in range(_PAGES):
        result = await environment.run(invoicing.issue_invoices, page)
        issued += result.issued
        if result.next_after is None:
            break
        page = page.model_copy(update={"after": result.next_after})
    return issued / (time.perf_counter() - begun)
