"""Frequent continue-as-new, suggested by the server: nothing is lost or executed twice."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from support.frequent_continue_as_new import hasty_server
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from subscription.business_calendar import day_of, start_of
from subscription.refusals import RefusalCode, RefusalError
from subscription.timeline import Answer

START = "2027-01-10 09:00"
CROWDS = 5

T = TypeVar("T")


@pytest.fixture(scope="module")
async def hasty(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceEnv]:
    async with hasty_server(tmp_path_factory.mktemp("hasty")) as address:
        temporal = await Client.connect(address, data_converter=data_converter())
        async with open_service_env(stack, temporal) as service_env:
            yield service_env


async def in_crowds(tasks: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the tasks in concurrent groups, each after the responses to the previous group; return the results.

    A run continues as new only when no response is pending: all concurrent tasks may get the same run.
    """
    results: dict[int, T] = {}
    for first in range(CROWDS):
        numbers = range(first, len(tasks), CROWDS)
        results |= zip(numbers, await gather_all(tasks[number] for number in numbers), strict=True)
    return [results[number] for number in range(len(tasks))]


async def ended_runs(subscription: SubscriptionDriver) -> int:
    """Return the number of runs that have continued as new."""
    runs = await subscription.run_ids()
    ends = [(await subscription.history(run))[-1].event_type for run in runs]
    return ends.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)


async def test_concurrent_updates_across_continue_as_new_run_once(hasty: ServiceEnv) -> None:
    """A hundred concurrent updates: each is executed once."""
    subscription = await hasty.paid(START)

    async def chosen(members: int, **identity: str) -> Answer:
        return await subscription.send(
            "change_renewal_option", at=START, term="ANNUAL", members=members, **identity
        )

    with_ids = [chosen(number, id=f"choice-{number}") for number in range(1, 61)]
    twice = [chosen(number, id=f"choice-{number}") for number in range(1, 11)]
    without_ids = [chosen(number) for number in range(101, 131)]
    answers = await in_crowds([*with_ids, *twice, *without_ids])

    assert await ended_runs(subscription) >= 4
    assert answers[:10] == answers[60:70]
    members = [int(answer.message.split("for ")[1].split(" ")[0]) for answer in answers]
    assert members == [*range(1, 61), *range(1, 11), *range(101, 131)]
    recorded = [
        int(entry.message.split("for ")[1].split(" ")[0])
        for entry in await subscription.client.timeline(subscription.id)
        if entry.event == "RENEWAL_OPTION_CHANGED"
    ]
    assert sorted(recorded) == [*range(1, 61), *range(101, 131)]
    sequences = [answer.events[0].sequence for answer in answers]
    assert len(set(sequences)) == 90
    assert await subscription.failed_tasks() == []
    again = await gather_all(chosen(number, id=f"choice-{number}") for number in (1, 30, 60))
    assert again == [answers[0], answers[29], answers[59]]


async def test_concurrent_signals_and_updates_across_runs_run_once(hasty: ServiceEnv) -> None:
    subscription = await hasty.requested(START)

    async def refused_by_signal(number: int) -> None:
        await subscription.handle.signal("withdraw_reservation", {"by": f"operator {number}"})

    async def reserved(number: int) -> Answer | RefusalCode:
        day = f"2027-02-{number:02}"
        try:
            return await subscription.send("switch_to_paid", at="2027-01-10 10:00", date=day, term="MONTHLY")
        except RefusalError as refusal:
            return refusal.refused.code

    tasks: list[Any] = [reserved(number) for number in range(1, 26)]
    tasks += [subscription.client.settle(subscription.id) for _ in range(20)]
    await in_crowds([*tasks, *(refused_by_signal(number) for number in range(40))])

    async def all_signals_are_recorded() -> bool:
        events = await subscription.events()
        return events.count("REFUSED") + events.count("RESERVATION_WITHDRAWN") == 40

    await wait_for("all signals are recorded", all_signals_are_recorded)
    assert (await subscription.events()).count("SWITCH_RESERVED") == 25
    assert await ended_runs(subscription) >= 2
    assert await subscription.failed_tasks() == []


async def test_reservations_and_command_ids_survive_continue_as_new(hasty: ServiceEnv) -> None:
    subscription = await hasty.requested(START)
    domain = f"{unique_name('survives')}.example"
    await subscription.send("rename_account", at=START, domain=domain)
    first = await subscription.send(
        "switch_to_paid", at=START, date="2027-02-01", term="ANNUAL", id="the-switch"
    )
    before = await subscription.status()
    for number in range(25):
        await subscription.handle.signal("upgrade", {"by": f"operator {number}"})
    await subscription.client.settle(subscription.id)
    assert await ended_runs(subscription) >= 2
    assert await subscription.status() == before
    assert await subscription.handle.query("status") == before.model_dump(mode="json")
    again = {"date": "2027-02-01", "term": "ANNUAL", "id": "the-switch"}
    assert await subscription.send("switch_to_paid", at="2027-01-10 10:00", **again) == first
    timeline = await subscription.handle.query("timeline")
    assert [entry["event"] for entry in timeline] == await subscription.events()
    await subscription.advance_to("2027-02-01 00:00")
    assert (await subscription.events()).count("SWITCHED_TO_PAID") == 1


async def test_years_on_test_clock_across_continue_as_new(hasty: ServiceEnv) -> None:
    subscription = await hasty.requested()
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    await subscription.advance_clock_to(started.replace(year=started.year + 2, day=min(started.day, 28)))
    runs = await ended_runs(subscription)
    assert runs >= 4
    ledger = await subscription.ledger()
    for entry in await subscription.client.timeline(subscription.id):
        if entry.event in ("SERVICE_FEES_POSTED", "CONTRACT_RENEWED"):
            assert entry.at == start_of(day_of(entry.at))
    days = [(line.first_day, line.end_day) for line in ledger]
    assert all(end == begin for (_, end), (begin, _) in pairwise(days))
    assert len({line.key for line in ledger}) == len(ledger)
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    assert (await subscription.events())[-2:] == ["CANCELED", "ERASED"]
    [_, histories] = await subscription.client.certificates(subscription.id)
    assert histories.rows["workflow_runs"] >= runs + 1


async def test_the_clock_can_be_moved_right_after_a_request(service_env: ServiceEnv) -> None:
    """The next event ends the run of the request: the clock moves while the workflow continues as new."""

    async def moved(number: int) -> None:
        subscription = await service_env.requested()
        target = (await subscription.client.clock(subscription.id).now()) + timedelta(days=31)
        assert await subscription.client.clock(subscription.id).advance_to(target)
        await subscription.client.settle(subscription.id)
        assert await subscription.events() == ["TRIAL_STARTED", "TRIAL_ENDED"], number

    for number in range(20):
        await moved(number)
