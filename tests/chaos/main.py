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

from .drive_subscription import Lived, Living
from .environment import ChaosEnvironment
from .faults import FaultInjector
from .observed_state import is_calm, markers_by_table, read_record, read_what_happened, read_workflow
from .planned_subscriptions import API_CUSTOMERS, PlannedLife, planned_lives
from .report import Report
from .verify_subscriptions import differences, expected_of, left_by_the_refused
from .verify_webhooks import differences_told, event_of

# Many, because most of them wait at any time until a killed process has been detected.
_LIVES_AT_ONCE = 60
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


async def run(chaos: Chaos, tell: Callable[[str], None]) -> Report:
    """Drive the subscriptions, inject faults, and verify. Servers and workers have ended on return."""
    began = time.monotonic()

    def say(what: str) -> None:
        tell(f"{time.monotonic() - began:6.1f} s  {what}")

    with TemporaryDirectory(prefix="worksub-chaos-") as directory:
        async with ChaosEnvironment(Path(directory)) as world:
            say(f"Servers and workers run; the seed is {chaos.seed}.")
            trouble = FaultInjector(world, chaos.seed, say, long=chaos.long)
            lived = await _live_in(world, chaos, trouble, say)
            say("Judging.")
            return await _judged(world, chaos, lived, trouble, began)


async def _live_in(
    world: ChaosEnvironment, chaos: Chaos, trouble: FaultInjector, say: Callable[[str], None]
) -> list[Lived]:
    """Return all subscriptions that were started, each driven to its end unless it is stuck."""
    until = time.monotonic() + chaos.minutes * 60
    plans = planned_lives(chaos.seed)
    livings: list[Living] = []
    enough = asyncio.Event()

    def more() -> Iterator[PlannedLife]:
        while len(livings) < chaos.subscriptions or time.monotonic() < until or not trouble.was_everything:
            yield next(plans)

    async def live_one_after_another(planned: Iterator[PlannedLife]) -> None:
        for plan in planned:
            living = Living(world, plan, chaos.seed)
            livings.append(living)
            try:
                await living.live()
            except Exception as error:  # for the verifier, which reports the subscription and the seed
                living.lived.doing += f", which ended in {error!r}"

    planned = more()
    places = [
        asyncio.create_task(live_one_after_another(planned))
        for _ in range(min(_LIVES_AT_ONCE, chaos.subscriptions))
    ]
    making_trouble = asyncio.create_task(trouble.make_trouble(enough))
    try:
        await _all_or_stuck(places, livings, making_trouble, say)
        enough.set()
        await making_trouble
        if any(not place.done() for place in places):  # all faults are repaired now
            await asyncio.wait(places, timeout=_STUCK_SECONDS)
    finally:
        enough.set()
        for task in (making_trouble, *places):
            task.cancel()
        results = await asyncio.gather(making_trouble, *places, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return [living.lived for living in livings]


async def _all_or_stuck(
    places: list["asyncio.Task[None]"],
    livings: list[Living],
    making_trouble: "asyncio.Task[None]",
    say: Callable[[str], None],
) -> None:
    """Return when all subscriptions have ended, or when none has made progress for a long time."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < _STUCK_SECONDS:
        await asyncio.wait([*places, making_trouble], timeout=_PROGRESS_SECONDS)
        answered = sum(len(living.lived.answers) for living in livings)
        over = sum(living.lived.is_over for living in livings)
        say(f"{over} of {len(livings)} lives are over; {answered} commands.")
        if answered + over != before:
            before, since = answered + over, time.monotonic()
        if all(place.done() for place in places) or making_trouble.done():
            return


async def _judged(
    world: ChaosEnvironment, chaos: Chaos, lived: list[Lived], trouble: FaultInjector, began: float
) -> Report:
    expected = {
        subscription.subscription_id: expected_of(
            subscription.planned, subscription.subscription_id, world.book
        )
        for subscription in lived
    }
    ids = [*expected, *(rival for subscription in lived for rival in subscription.refused_rivals)]
    over = [id_ for id_, right in expected.items() if right.over]
    async with world.owner() as owner:

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
            except AssertionError as missing:
                found.append(str(missing))
        facts = await read_record(owner, ids)
        told = {
            customer_id: [event_of(row) for row in await read_what_happened(owner, customer_id)]
            for customer_id in API_CUSTOMERS
        }
        markers = await markers_by_table(owner)
        rows = await owner.fetchval("SELECT count(*) FROM subscriptions")
    if rows != len(lived):
        found.append(f"there are {rows} subscriptions, and {len(lived)} were begun")
    for subscription in lived:
        name = f"life {subscription.planned.number} ({subscription.subscription_id})"
        tables = {table for table, words in markers.items() if subscription.planned.marker in words}
        for id_ in (subscription.subscription_id, *subscription.refused_rivals):
            try:
                calm = partial(is_calm, world.client_of_temporal, id_)
                await wait_for(f"the workflow of {id_} is calm", calm, seconds=_CLOSING_SECONDS)
            except AssertionError as restless:
                found.append(str(restless))
            await read_workflow(world.client_of_temporal, id_, facts[id_], subscription.planned.marker)
        facts[subscription.subscription_id].found_in |= tables
        right, fact = expected[subscription.subscription_id], facts[subscription.subscription_id]
        found += [f"{name}: {difference}" for difference in differences(subscription, right, fact)]
        for rival in subscription.refused_rivals:
            found += [f"{name}, rival {rival}: {left}" for left in left_by_the_refused(facts[rival])]
    for receiver in world.receivers:
        found += [
            f"the endpoint of {receiver.customer_id}: {difference}"
            for difference in differences_told(
                receiver.arrivals, told[receiver.customer_id], trouble.unsettled
            )
        ]
    answers = [copies for subscription in lived for copies in subscription.answers]
    arrivals = [arrival for receiver in world.receivers for arrival in receiver.arrivals]
    delivered = {arrival.headers["webhook-id"] for arrival in arrivals if arrival.taken}
    return Report(
        seed=chaos.seed,
        seconds=round(time.monotonic() - began),
        subscriptions=len(lived),
        lives_by_api=sum(subscription.planned.api_customer is not None for subscription in lived),
        refused_rivals=sum(len(subscription.refused_rivals) for subscription in lived),
        erased=len(over),
        commands_accepted=sum(copies[0]["accepted"] for copies in answers),
        commands_refused=sum(not copies[0]["accepted"] for copies in answers),
        copies=sum(
            len(copies) - 1
            for subscription in lived
            for copies in (*subscription.answers, *subscription.requests)
        ),
        transitions=sum(len(fact.events) for fact in facts.values()),
        lines=sum(len(fact.lines) for fact in facts.values()),
        charged=sum(line["amount"] for fact in facts.values() for line in fact.lines),
        runs=sum(fact.runs for fact in facts.values()),
        webhooks_delivered=len(delivered),
        webhooks_told_again=len(arrivals) - len(delivered),
        mischief=dict(sorted(trouble.done.items())),
        differences=tuple(found),
    )


def main() -> int:
    """Run the command; return 0 if nothing differed from the rules."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--lives", type=int, default=200, help="at least so many (default: 200)")
    parser.add_argument("--json", type=Path, help="write the report as JSON into this file")
    parser.add_argument("--page", type=Path, help="put the figures into this page of the documentation")
    arguments = parser.parse_args()
    chaos = Chaos(
        seed=int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6)),
        subscriptions=arguments.subscriptions,
        minutes=float(os.environ.get("CHAOS_MINUTES") or 0),
    )
    report = asyncio.run(run(chaos, lambda line: print(line, flush=True)))
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
