"""Memory of a worker per cached workflow, with a price book of three years of monthly versions."""

from datetime import date, datetime

from adapters.postgres.catalogue_repository import restore_versions
from adapters.postgres.pool import create_pool
from benchmarks.database_fixtures import copy_template, create_template
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import Figure
from benchmarks.workflow_fixtures import seed_ours
from benchmarks.workload import Sizes
from subscription.business_calendar import KST, add_months, day_of, first_of_month
from subscription.catalogue import PriceBook

_MONTHS = 3
_VERSIONS = 36
_KIB = 1024


async def cached_workflows(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    """Measure the growth of the worker's memory while it loads workflows that stay in its cache."""
    memory = Figure(f"worker memory per cached workflow, {_VERSIONS} catalogue versions", "KiB", 100)
    today = day_of(datetime.now(KST))
    book = _monthly_versions(env.book, today)
    async with create_pool(env.worker_url, "worksub_worker", connections=1) as pool:
        await create_template(pool, env.book, today, _MONTHS)
    await restore_versions(env.owner, book)
    first = await copy_template(env.owner, env.numbers(sizes.warm_up))
    others = await copy_template(env.owner, env.numbers(sizes.cached))
    env.on_progress(f"Caching {sizes.cached:,} workflows…")
    async with env.our_worker() as worker:
        await seed_ours(env, first, book)
        before = (await worker.usage()).memory_bytes
        await seed_ours(env, others, book)
        grown = (await worker.usage()).memory_bytes - before
    memory.add(grown / sizes.cached / _KIB)
    return [memory]


def _monthly_versions(book: PriceBook, today: date) -> PriceBook:
    """Return the book with further versions, one for each of the last months, at the same prices."""
    [first] = book.versions
    months = (add_months(first_of_month(today), -number) for number in reversed(range(_VERSIONS - 1)))
    return book.with_versions(
        first.model_copy(update={"version": f"{month:%Y-%m}", "effective_from": month, "announced_on": month})
        for month in months
    )
