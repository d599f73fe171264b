"""Frequent continue-as-new, suggested by the server: nothing is lost or executed twice."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from support.frequent_continue_as_new import EVENTS_A_RUN, hasty_server
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import NEEDS_ATTENTION
from dev_stack.stack import EmbeddedStack
from subscription.attention import ATTENTION_MEMO, Attention
from subscription.business_calendar import day_of, start_of
from subscription.refusals import RefusalCode, RefusalError
from subscription.state import State
from subscription.timeline import Answer
from workflows.lifecycle import MOST_NOTED_A_DAY

START = "2027-01-10 09:00"
CROWDS = 5
CALLERS = 10
# An update takes up to 14 events, and a server queues ten updates per workflow.
LAST_STEPS = CALLERS * 14

T = TypeVar("T")


@pytest.fixture(scope="module")
async def hasty_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with hasty_server(tmp_path_factory.mktemp("hasty")) as address:
        yield await Client.connect(address, data_converter=data_converter())


@pytest.fixture(scope="module")
async def hasty(stack: EmbeddedStack, hasty_temporal: Client) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, hasty_temporal) as service_env:
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


async def lengths_of_runs(subscription: SubscriptionDriver) -> list[int]:
    return [len(await subscription.history(run)) for run in await subscription.run_ids()]


async def test_concurrent_updates_across_continue_as_new_run_once(hasty: ServiceEnv) -> None:
    """Each of the updates is executed once."""
    subscription = await hasty.paid(START)

    async def chosen(members: int, **identity: str) -> Answer:
        return await subscription.send(
            "change_renewal_option", at=START, term="ANNUAL", members=members, **identity
        )

    with_ids = [chosen(number, id=f"choice-{number}") for number in range(1, 21)]
    twice = [chosen(number, id=f"choice-{number}") for number in range(1, 5)]
    without_ids = [chosen(number) for number in range(101, 107)]
    answers = await in_crowds([*with_ids, *twice, *without_ids])

    assert await ended_runs(subscription) >= 4
    assert answers[:4] == answers[20:24]
    members = [int(answer.message.split("for ")[1].split(" ")[0]) for answer in answers]
    assert members == [*range(1, 21), *range(1, 5), *range(101, 107)]
    recorded = [
        int(entry.message.split("for ")[1].split(" ")[0])
        for entry in await subscription.client.timeline(subscription.id)
        if entry.event == "RENEWAL_OPTION_CHANGED"
    ]
    assert sorted(recorded) == [*range(1, 21), *range(101, 107)]
    sequences = [answer.events[0].sequence for answer in answers]
    assert len(set(sequences)) == 26
    assert await subscription.failed_tasks() == []
    again = await gather_all(chosen(number, id=f"choice-{number}") for number in (1, 10, 20))
    assert again == [answers[0], answers[9], answers[19]]


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

    tasks: list[Any] = [reserved(number) for number in range(1, 16)]
    tasks += [subscription.client.settle(subscription.id) for _ in range(10)]
    await in_crowds([*tasks, *(refused_by_signal(number) for number in range(20))])

    async def all_signals_are_recorded() -> bool:
        events = await subscription.events()
        return events.count("REFUSED") + events.count("RESERVATION_WITHDRAWN") == 20

    await wait_for("all signals are recorded", all_signals_are_recorded)
    assert (await subscription.events()).count("SWITCH_RESERVED") == 15
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
    await subscription.handle.signal("needs_attention", {"needed": True, "reason": "T-1"})
    for number in range(25):
        await subscription.handle.signal("upgrade", {"by": f"operator {number}"})
    await subscription.client.settle(subscription.id)
    assert await ended_runs(subscription) >= 2
    assert await subscription.status() == before
    described = await subscription.handle.describe()
    assert described.typed_search_attributes.get(NEEDS_ATTENTION) is True
    attention = await described.memo_value(ATTENTION_MEMO, type_hint=Attention)
    assert attention.reason == "T-1"
    assert await subscription.handle.query("status") == before.model_dump(mode="json")
    again = {"date": "2027-02-01", "term": "ANNUAL", "id": "the-switch"}
    assert await subscription.send("switch_to_paid", at="2027-01-10 10:00", **again) == first
    timeline = await subscription.handle.query("timeline")
    assert [entry["event"] for entry in timeline] == (await subscription.events())[-10:]
    await subscription.advance_to("2027-02-01 00:00")
    assert (await subscription.events()).count("SWITCHED_TO_PAID") == 1


async def test_command_floods_block_no_subscription_and_no_caller(hasty: ServiceEnv) -> None:
    """Callers that send without a pause end no subscription and block no other caller."""
    subscription = await hasty.requested(account={"domain": f"{unique_name('flooded')}.example"})

    async def send_repeatedly(caller: int) -> None:
        for number in range(SIZES.flood_commands):
            await subscription.client.check_domain(subscription.id, id=f"{caller}-{number}")

    await gather_all(send_repeatedly(caller) for caller in range(CALLERS))
    lengths = await lengths_of_runs(subscription)
    assert len(lengths) > SIZES.flood_commands // 4
    assert max(lengths) < EVENTS_A_RUN + LAST_STEPS
    assert await subscription.failed_tasks() == []
    # Commands without effect are not stored.
    stored = await hasty.owner.fetchval(
        "SELECT count(*) FROM command_answers WHERE subscription_id = $1", subscription.id
    )
    assert stored == 0
    answer = await subscription.send("cancel", date=f"{await subscription.today()}")
    assert answer.state is State.CANCELED


async def test_queued_signals_are_processed_across_runs(stack: EmbeddedStack, hasty_temporal: Client) -> None:
    async with open_service_env(stack, hasty_temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid("2027-01-10 09:00")
        senders = asyncio.Semaphore(100)

        async def send(argument: dict[str, str]) -> None:
            async with senders:
                await subscription.handle.signal("change_renewal_option", argument)

        at = "2027-01-10T09:00:00+09:00"
        await send({"term": "MONTHLY", "at": at})
        await send({"term": "ANNUAL", "at": at})
        await gather_all(send({"term": "FOR EVER"}) for _ in range(SIZES.flood_signals))
        async with service_env.worker():
            await subscription.client.settle(subscription.id)
            events = await subscription.events()
            assert events.count("REFUSED") == MOST_NOTED_A_DAY
            assert events[:4] == [
                "TRIAL_STARTED",
                "SWITCHED_TO_PAID",
                "RENEWAL_OPTION_CHANGED",
                "RENEWAL_OPTION_CHANGED",
            ]
            renewal = (await subscription.status()).renewal
            assert renewal is not None
            assert renewal.term == "ANNUAL"
            await subscription.send("upgrade", at="2027-01-10 10:00", members=20)
            assert await subscription.failed_tasks() == []
            runs = await subscription.run_ids()
            assert len(runs) > 2
            for run in runs[:-1]:
                assert is_ended_by_a_quiet_task(await subscription.history(run))


def is_ended_by_a_quiet_task(history: Sequence[HistoryEvent]) -> bool:
    """Return whether no signal came before the last task: more signals arrive during a task with signals."""
    completed = [
        number
        for number, event in enumerate(history)
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    between = history[completed[-2] : completed[-1]] if len(completed) > 1 else history
    return not any(event.HasField("workflow_execution_signaled_event_attributes") for event in between)


async def test_input_without_effect_also_continues_as_new(hasty: ServiceEnv) -> None:
    """Signals and updates that change nothing do not wake the main loop, but their events count."""
    subscription = await hasty.requested()
    for number in range(EVENTS_A_RUN // 2):  # each has at least three events
        await subscription.handle.signal("needs_attention", {"needed": number % 2 == 0})
        if number % 5 == 0:
            await subscription.handle.execute_update("request")
    await subscription.client.settle(subscription.id)
    assert len(await lengths_of_runs(subscription)) > 1
    assert max(await lengths_of_runs(subscription)) < EVENTS_A_RUN + LAST_STEPS


async def test_year_on_test_clock_across_continue_as_new(hasty: ServiceEnv) -> None:
    subscription = await hasty.requested()
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    await subscription.advance_clock_to(started.replace(year=started.year + 1, day=min(started.day, 28)))
    runs = await ended_runs(subscription)
    assert runs >= 2
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

    for number in range(4):
        await moved(number)
