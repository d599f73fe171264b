"""`make chaos`: run subscriptions while every process is killed at random, and verify each result.

CHAOS_SEED repeats a run; CHAOS_MINUTES=N starts new subscriptions for N minutes.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from support.polling import wait_for

from .drive_subscription import Race, SubscriptionRun, SubscriptionRunner
from .environment import ChaosEnvironment
from .faults import FaultInjector
from .observed_state import is_idle, markers_by_table, read_events, read_record, read_workflow
from .planned_subscriptions import API_CUSTOMERS, PlannedSubscription, planned_subscriptions
from .report import Report
from .verify_subscriptions import (
    differences,
    domains_without_one_winner,
    expected_of,
    remains_of_refused_request,
)
from .verify_webhooks import delivery_differences, event_of

# Many, because most of them wait at any time until a killed process has been detected.
_CONCURRENT_SUBSCRIPTIONS = 60
_PROGRESS_SECONDS = 5.0
_STUCK_SECONDS = 120.0
_CLOSING_SECONDS = 60.0


@dataclass(frozen=True)
class Chaos:
    """The size of a run: minimum number of subscriptions and of minutes. Every fault occurs at least once.

    In a short run, each fault occurs only once.
    """

    seed: int
    subscriptions: int
    minutes: float = 0.0
    long: bool = True


async def run(chaos: Chaos, log: Callable[[str], None], directory: Path) -> Report:
    """Drive the subscriptions, inject faults, and verify. Servers and workers have ended on return.

    The directory is for the data of the servers, and may have the data of a stopped PostgreSQL server.
    """
    began = time.monotonic()

    def log_line(what: str) -> None:
        log(f"{time.monotonic() - began:6.1f} s  {what}")

    async with ChaosEnvironment(directory, long=chaos.long) as chaos_env:
        log_line(f"Servers and workers run; the seed is {chaos.seed}.")
        injector = FaultInjector(chaos_env, chaos.seed, log_line, long=chaos.long)
        run_records = await _run_subscriptions(chaos_env, chaos, injector, log_line)
        log_line("Verifying.")
        return await _verified(chaos_env, chaos, run_records, injector, began)


async def _run_subscriptions(
    chaos_env: ChaosEnvironment, chaos: Chaos, injector: FaultInjector, log_line: Callable[[str], None]
) -> list[SubscriptionRun]:
    """Return all subscriptions that were started, each driven to its end unless it is stuck."""
    until = time.monotonic() + chaos.minutes * 60
    plans = planned_subscriptions(chaos.seed)
    runners: list[SubscriptionRunner] = []
    enough = asyncio.Event()

    def more() -> Iterator[PlannedSubscription]:
        while len(runners) < chaos.subscriptions or time.monotonic() < until or not injector.is_complete:
            yield next(plans)

    async def run_sequentially(planned: Iterator[PlannedSubscription]) -> None:
        for plan in planned:
            race = Race() if plan.squatter else None
            started = [
                SubscriptionRunner(chaos_env, each, chaos.seed, race)
                for each in (plan, plan.squatter)
                if each is not None
            ]
            runners.extend(started)
            await asyncio.gather(*(run_to_its_end(runner, race) for runner in started))

    async def run_to_its_end(runner: SubscriptionRunner, race: Race | None) -> None:
        try:
            await runner.run()
        except Exception as error:  # for the verifier, which reports the subscription and the seed
            runner.run_record.doing += f", which ended in {error!r}"
        finally:
            if race:
                race.arrive()

    planned = more()
    places = [
        asyncio.create_task(run_sequentially(planned))
        for _ in range(min(_CONCURRENT_SUBSCRIPTIONS, chaos.subscriptions))
    ]
    fault_task = asyncio.create_task(injector.inject(enough))
    try:
        await _all_or_stuck(places, runners, fault_task, log_line)
        enough.set()
        await fault_task
        if any(not place.done() for place in places):  # all faults are repaired now
            await asyncio.wait(places, timeout=_STUCK_SECONDS)
    finally:
        enough.set()
        for task in (fault_task, *places):
            task.cancel()
        results = await asyncio.gather(fault_task, *places, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [runner.run_record for runner in runners]


async def _all_or_stuck(
    places: list["asyncio.Task[None]"],
    runners: list[SubscriptionRunner],
    fault_task: "asyncio.Task[None]",
    log_line: Callable[[str], None],
) -> None:
    """Return when all subscriptions have ended, or when none has made progress for a long time."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < _STUCK_SECONDS:
        await asyncio.wait([*places, fault_task], timeout=_PROGRESS_SECONDS)
        answered = sum(len(runner.run_record.answers) for runner in runners)
        over = sum(runner.run_record.is_over for runner in runners)
        log_line(f"{over} of {len(runners)} subscriptions have ended; {answered} commands.")
        if answered + over != before:
            before, since = answered + over, time.monotonic()
        if all(place.done() for place in places) or fault_task.done():
            return


async def _verified(
    chaos_env: ChaosEnvironment,
    chaos: Chaos,
    run_records: list[SubscriptionRun],
    injector: FaultInjector,
    began: float,
) -> Report:
    async with chaos_env.owner() as owner:
        lost = await owner.fetch("SELECT subscription_id FROM lifecycle_events WHERE event = 'DOMAIN_LOST'")
    losers = {row["subscription_id"] for row in lost}
    expected = {
        subscription.subscription_id: expected_of(
            subscription.planned,
            subscription.subscription_id,
            chaos_env.book,
            has_lost=subscription.subscription_id in losers,
        )
        for subscription in run_records
    }
    ids = [*expected, *(rival for subscription in run_records for rival in subscription.refused_rivals)]
    over = [id_ for id_, right in expected.items() if right.is_terminal]
    async with chaos_env.owner() as owner:

        async def erasures_are_certified() -> bool:
            certified = await owner.fetchval("SELECT count(*) FROM erasure_certificates")
            return bool(certified >= 2 * len(over))

        async def nothing_waits() -> bool:
            waiting = await owner.fetchval("SELECT count(*) FROM webhook_deliveries WHERE state = 'WAITING'")
            return bool(waiting == 0)

        found = []
        for what, is_so in (
            ("erasures are certified", erasures_are_certified),
            ("all webhooks are delivered", nothing_waits),
        ):
            try:
                await wait_for(what, is_so, seconds=_CLOSING_SECONDS)
            except AssertionError as error:
                found.append(str(error))
        facts = await read_record(owner, ids)
        expected_events = {
            customer_id: [event_of(row) for row in await read_events(owner, customer_id)]
            for customer_id in API_CUSTOMERS
        }
        markers = await markers_by_table(owner)
        rows = await owner.fetchval("SELECT count(*) FROM subscriptions")
    if rows != len(run_records):
        found.append(f"there are {rows} subscriptions, and {len(run_records)} were started")
    for subscription in run_records:
        name = f"subscription {subscription.planned.number} ({subscription.subscription_id})"
        tables = {table for table, words in markers.items() if subscription.planned.marker in words}
        for id_ in (subscription.subscription_id, *subscription.refused_rivals):
            try:
                idle = partial(is_idle, chaos_env.client_of_temporal, id_)
                await wait_for(f"the workflow of {id_} is calm", idle, seconds=_CLOSING_SECONDS)
            except AssertionError as error:
                found.append(str(error))
            await read_workflow(chaos_env.client_of_temporal, id_, facts[id_], subscription.planned.marker)
        facts[subscription.subscription_id].found_in |= tables
        right, fact = expected[subscription.subscription_id], facts[subscription.subscription_id]
        found += [f"{name}: {difference}" for difference in differences(subscription, right, fact)]
        for rival in subscription.refused_rivals:
            found += [f"{name}, rival {rival}: {left}" for left in remains_of_refused_request(facts[rival])]
    found += domains_without_one_winner(run_records, facts)
    for receiver in chaos_env.receivers:
        found += [
            f"the endpoint of {receiver.customer_id}: {difference}"
            for difference in delivery_differences(
                receiver.arrivals, expected_events[receiver.customer_id], injector.unsettled
            )
        ]
    answers = [copies for subscription in run_records for copies in subscription.answers]
    arrivals = [arrival for receiver in chaos_env.receivers for arrival in receiver.arrivals]
    delivered = {arrival.headers["webhook-id"] for arrival in arrivals if arrival.taken}
    return Report(
        seed=chaos.seed,
        seconds=round(time.monotonic() - began),
        subscriptions=len(run_records),
        subscriptions_by_api=sum(
            subscription.planned.api_customer is not None for subscription in run_records
        ),
        refused_rivals=sum(len(subscription.refused_rivals) for subscription in run_records),
        erased=len(over),
        commands_accepted=sum(copies[0]["accepted"] for copies in answers),
        commands_refused=sum(not copies[0]["accepted"] for copies in answers),
        copies=sum(
            len(copies) - 1
            for subscription in run_records
            for copies in (*subscription.answers, *subscription.requests)
        ),
        transitions=sum(len(fact.events) for fact in facts.values()),
        lines=sum(len(fact.lines) for fact in facts.values()),
        charged=sum(line["amount"] for fact in facts.values() for line in fact.lines),
        runs=sum(fact.runs for fact in facts.values()),
        webhooks_delivered=len(delivered),
        webhooks_repeated=len(arrivals) - len(delivered),
        faults=dict(sorted(injector.done.items())),
        differences=tuple(found),
    )


def main() -> int:
    """Run the command; return 0 if nothing differed from the rules."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--subscriptions", type=int, default=200, help="minimum number of subscriptions (default: 200)"
    )
    parser.add_argument("--json", type=Path, help="write the report as JSON into this file")
    parser.add_argument("--page", type=Path, help="write the figures into this documentation page")
    arguments = parser.parse_args()
    chaos = Chaos(
        seed=int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6)),
        subscriptions=arguments.subscriptions,
        minutes=float(os.environ.get("CHAOS_MINUTES") or 0),
    )
    with TemporaryDirectory(prefix="worksub-chaos-") as directory:
        report = asyncio.run(run(chaos, lambda line: print(line, flush=True), Path(directory)))
    print(report.in_words())
    if arguments.json:
        arguments.json.write_text(report.as_json() + "\n", encoding="utf-8")
    if arguments.page and not report.differences:
        page = arguments.page.read_text(encoding="utf-8")
        arguments.page.write_text(report.written_into(page), encoding="utf-8")
    return 1 if report.differences else 0


if __name__ == "__main__":
    try:
        code = main()
    finally:
        gc.collect()
    sys.exit(code)
