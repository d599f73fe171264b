"""A hundred thousand subscriptions in the database, each with ten months behind it: what only it is asked.

They are rows alone, with no workflows, so what is measured is the reading, the night's reading and invoicing.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.batch import Batch
from activities.invoicing import InvoicingActivities
from activities.reconciliation.record_snapshot import page_of_ids, recorded_page
from adapters.postgres.pool import Pool, create_pool
from benchmarks.database_fixtures import SUBSCRIPTIONS_A_CUSTOMER, copied, id_of, live
from benchmarks.environment import Ground
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from starter.filters import NAMED_FILTERS, customer_is, state_is
from starter.read_model import ReadModel
from subscription.business_calendar import KST, add_months, day_of, first_of_month
from subscription.invoice import IssueInvoices
from subscription.state import State

_MONTHS_LIVED = 10
_COPIED_AT_ONCE = 10_000
_PAGES = 10
_A_PAGE = 100
_BIG = 10_000
"""Rows of a table that no question should read to its end."""


async def rows(ground: Ground, sizes: Sizes) -> list[Figure]:
    number = sizes.rows
    filled = Figure(f"{number:,} subscriptions with {_MONTHS_LIVED} months each written to the database", "s")
    size = Figure("database, for each of them and a year", "KB")
    slowest = Figure(f"read model among {number:,}: the slowest question", "ms")
    scanned = Figure("read model: tables that a question reads to their end", "", 0)
    night = Figure("reconcile: reading 100 of them from the record", "ms")
    invoiced = Figure("invoices issued", "1/s")
    ground.say(f"Writing {number:,} subscriptions…")
    today = day_of(datetime.now(KST))
    async with create_pool(ground.worker_url, "worksub_worker") as pool:
        await live(pool, ground.book, today, _MONTHS_LIVED)
        begun = time.perf_counter()
        for first in range(0, number, _COPIED_AT_ONCE):
            await copied(ground.owner, range(first, min(first + _COPIED_AT_ONCE, number)))
        filled.add(time.perf_counter() - begun)
        await ground.owner.execute("VACUUM ANALYZE")
        # One transaction wrote each counter dozens of times; the service leaves no such dead space behind.
        await ground.owner.execute("VACUUM FULL customer_event_counters")
        bytes_kept = await ground.owner.fetchval("SELECT pg_database_size(current_database())")
        size.add(bytes_kept / number / 1000 * 12 / _MONTHS_LIVED)
        ground.say("Asking questions…")
        questions = await _asked(ground, number)
        slowest.add(max(milliseconds for milliseconds, _ in questions.values()))
        scanned.add(sum(len(scans) for _, scans in questions.values()))
        for question, (milliseconds, scans) in questions.items():
            if scans:
                ground.say(f"{question} reads {', '.join(scans)} to the end, in {milliseconds:.0f} ms.")
        night.add(await _milliseconds_a_page(pool))
        ground.say("Issuing invoices…")
        invoiced.add(await _invoices_a_second(pool, add_months(first_of_month(today), -1)))
    return [filled, size, slowest, scanned, night, invoiced]


async def _asked(ground: Ground, number: int) -> Mapping[str, tuple[float, list[str]]]:
    """Each question of the read model: its milliseconds, and the big tables that it has read to their end."""
    today = datetime.now(KST).date()
    answers = {}
    async with create_pool(ground.people_url, "worksub_reader", connections=1) as pool:
        for name, ask in _questions(ReadModel(pool), id_of(number // 2), number, today).items():
            await ask()
            before = await _scans(ground.owner, pool)
            begun = time.perf_counter()
            await ask()
            milliseconds = (time.perf_counter() - begun) * 1000
            after = await _scans(ground.owner, pool)
            answers[name] = (milliseconds, [table for table in after if after[table] > before[table]])
    return answers


def _questions(
    read: ReadModel, subscription_id: str, number: int, today: Any
) -> dict[str, Callable[[], Awaitable[Any]]]:
    customer = f"customer-{number // 2 // SUBSCRIPTIONS_A_CUSTOMER}"
    month = add_months(first_of_month(today), -1)
    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "status": lambda: read.snapshot(subscription_id),
        "timeline": lambda: read.timeline(subscription_id, after=0, limit=None),
        "ledger": lambda: read.ledger(subscription_id),
        "adjustments": lambda: read.adjustments(subscription_id),
        "certificates": lambda: read.certificates(subscription_id),
        "who holds a name": lambda: read.holder("a-name-that-nobody-has"),
        "before a request": lambda: read.request_context(
            "a-request-that-nobody-made", "a-name-that-nobody-has"
        ),
        "list": lambda: read.list((), after=subscription_id, limit=51),
        "list of a customer": lambda: read.list(customer_is(customer), after="", limit=51),
        "list of a state": lambda: read.list(state_is(State.TRIAL), after="", limit=51),
        "invoices of a month": lambda: read.invoices(customer_id=None, month=month, after="", limit=51),
        "invoices of a customer": lambda: read.invoices(customer_id=customer, month=None, after="", limit=51),
        "notices": lambda: read.notices(
            state=None, subscription_id=None, customer_id=None, after=0, limit=51
        ),
    }
    for name, ready_made in NAMED_FILTERS.items():
        selection = ready_made.on(today)
        if all(condition.column for condition in selection):
            questions[f"list {name}"] = lambda chosen=selection: read.list(chosen, after="", limit=51)  # type: ignore[misc]
            questions[f"how many {name}"] = lambda chosen=selection: read.count(chosen)  # type: ignore[misc]
    return questions


async def _scans(owner: Pool, asking: Pool) -> Mapping[str, int]:
    """How often each table has been read to its end so far, what this pool has just done included."""
    await asking.fetchval("SELECT pg_stat_force_next_flush()")
    await asking.fetchval("SELECT 1")
    found = await owner.fetch("SELECT relname, seq_scan FROM pg_stat_user_tables WHERE n_live_tup > $1", _BIG)
    return {row["relname"]: row["seq_scan"] for row in found}


async def _milliseconds_a_page(pool: Pool) -> float:
    begun, after = time.perf_counter(), ""
    for _ in range(_PAGES):
        ids = await page_of_ids(pool, after, _A_PAGE)
        page = await recorded_page(pool, ids, Batch("bench"))
        after = page[-1].id if page else ""
    return (time.perf_counter() - begun) * 1000 / _PAGES


async def _invoices_a_second(pool: Pool, month: Any) -> float:
    """Over some pages, of which each begins where the one before ended."""
    environment, invoicing = ActivityEnvironment(), InvoicingActivities(pool)
    wanted = IssueInvoices(month=month, issued_on=datetime.now(UTC).astimezone(KST).date())
    begun, issued = time.perf_counter(), 0
    for _ in range(_PAGES):
        done = await environment.run(invoicing.issue_invoices, wanted)
        issued += done.issued
        if done.next_after is None:
            break
        wanted = wanted.model_copy(update={"after": done.next_after})
    return issued / (time.perf_counter() - begun)
