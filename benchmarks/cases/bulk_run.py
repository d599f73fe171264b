"""Response times of another customer's commands, without a bulk run and while one is in progress."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import TIMES, Figure, percentile
from benchmarks.workload import Sizes
from starter.bulk import BulkRuns
from starter.client import SubscriptionClient
from starter.selection import Selection
from subscription.bulk import DEFAULT_RATE, parse_bulk_command
from subscription.business_calendar import KST, day_of
from subscription.commands import Command
from subscription.contract import ContractTerm
from subscription.ids import WORKFLOW_ID_PREFIX

_FEWEST_PROBES = 2


async def bulk_run(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    usual = Figure("response time of a command without a bulk run, p99", "ms")
    during = Figure("response time of another customer's command during a bulk run, p99", "ms")
    ratio = Figure("the same, compared with the time without a bulk run", TIMES, 2)
    rate = Figure(f"commands of a bulk run at {DEFAULT_RATE} a second", "1/s")
    client = SubscriptionClient(env.temporal, env.reader)
    bulk = client.bulk_runs(env.owner)
    async with env.our_worker():
        probe = _subscription_id(await env.ours.request())
        for number in range(1, sizes.rounds + 1):
            env.on_progress(f"Bulk run, round {number} of {sizes.rounds}…")
            places = asyncio.Semaphore(sizes.at_once)

            async def request(places: asyncio.Semaphore = places) -> str:
                async with places:
                    return _subscription_id(await env.ours.request())

            ids = await asyncio.gather(*(request() for _ in range(sizes.bulk)))
            before = [await _response_time(client, probe) for _ in range(sizes.one_at_a_time)]
            seconds, meanwhile = await _run(bulk, client, ids, lambda: _response_time(client, probe))
            usual.add(percentile(before, 99))
            during.add(percentile(meanwhile, 99))
            ratio.add(percentile(meanwhile, 99) / percentile(before, 99))
            rate.add(len(ids) / seconds)
    return [usual, during, ratio, rate]


async def _run(
    bulk: BulkRuns, client: SubscriptionClient, ids: list[str], probe: Callable[[], Awaitable[float]]
) -> tuple[float, list[float]]:
    """Run a bulk switch to paid; return its seconds, and the response times of the probes meanwhile."""
    today = day_of(datetime.now(KST))
    switch = parse_bulk_command("switch_to_paid", {"date": f"{today}", "term": "ANNUAL"})
    assert isinstance(switch, Command)
    selection = Selection(ids=tuple(ids))
    dry_run = await bulk.preview(switch, selection)
    run = await bulk.start(switch, selection, preview=dry_run.summary.preview)
    begun, times = time.perf_counter(), [await probe()]
    while len(times) < _FEWEST_PROBES or not (await bulk.run(run.run_id)).state.has_ended:
        times.append(await probe())
    seconds = time.perf_counter() - begun
    accepted = (await bulk.run(run.run_id)).accepted
    assert accepted == len(ids), f"{accepted} of {len(ids)} commands were accepted"
    return seconds, times


async def _response_time(client: SubscriptionClient, subscription_id: str) -> float:
    """Reserve a switch, which replaces the one before; return the response time in milliseconds."""
    begun = time.perf_counter()
    tomorrow = day_of(datetime.now(KST)) + timedelta(days=1)
    await client.switch_to_paid(subscription_id, tomorrow, ContractTerm.ANNUAL)
    return (time.perf_counter() - begun) * 1000


def _subscription_id(workflow_id: str) -> str:
    return workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
