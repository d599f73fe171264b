"""Floods: a subscription continues under any number of calls, and none of its data grows without bound."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from support.frequent_continue_as_new import EVENTS_A_RUN, hasty_server
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from subscription import idempotency
from subscription.refusals import RefusalCode
from subscription.state import State
from workflows.lifecycle import MOST_NOTED_A_DAY
from workflows.registry import LONGEST_TASK_SECONDS, WORKFLOW_RUNNER, WORKFLOWS, extend_deadlock_detection

CALLERS = 10
# An update takes up to 14 events, and a server queues ten updates per workflow.
LAST_STEPS = CALLERS * 14


@pytest.fixture(scope="module")
async def hasty_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with hasty_server(tmp_path_factory.mktemp("hasty")) as address:
        yield await Client.connect(address, data_converter=data_converter())


@pytest.fixture(scope="module")
async def hasty(stack: EmbeddedStack, hasty_temporal: Client) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, hasty_temporal) as service_env:
        yield service_env


async def lengths_of_runs(subscription: SubscriptionDriver) -> list[int]:
    return [len(await subscription.history(run)) for run in await subscription.run_ids()]


async def refusals(service_env: ServiceEnv, subscription: SubscriptionDriver) -> tuple[int, int]:
    """Return the numbers of refused signals with their own entry and of those that are only counted."""
    row = await service_env.owner.fetchrow(
        """
        SELECT count(*) FILTER (WHERE NOT detail->>'code' = $2) AS noted,
               coalesce(sum((detail->>'count')::int) FILTER (WHERE detail->>'code' = $2), 0) AS counted
          FROM lifecycle_events WHERE subscription_id = $1 AND event = 'REFUSED'
        """,
        subscription.id,
        RefusalCode.TOO_MANY_SIGNALS,
    )
    assert row is not None
    return row["noted"], row["counted"]


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


async def test_r22_ids_older_than_workflow_memory_are_recognized(
    hasty: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_RECENT", SIZES.remembered_ids)
    subscription = await hasty.paid("2027-01-10 09:00")
    last = SIZES.remembered_ids + 30
    chosen = {f"choice-{number}": number for number in range(1, last + 1)}

    async def chooses(id_: str, members: int) -> str:
        answer = await subscription.send(
            "change_renewal_option", at="2027-01-10 09:00", term="ANNUAL", members=members, id=id_
        )
        return answer.message

    messages = {id_: await chooses(id_, members) for id_, members in chosen.items()}
    for id_ in ("choice-1", "choice-30", f"choice-{last}"):
        assert await chooses(id_, chosen[id_]) == messages[id_]
    for id_ in ("choice-1", f"choice-{last}"):
        refused = await subscription.expect_refusal(
            "change_renewal_option", at="2027-01-10 09:00", term="ANNUAL", members=999, id=id_
        )
        assert refused.code is RefusalCode.COMMAND_ID_REUSED
    refused = await subscription.expect_refusal(
        "withdraw_reservation", at="2027-01-10 09:00", id="never-sent"
    )
    assert refused.code is RefusalCode.NOTHING_RESERVED
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == len(chosen)
    # The size of a transition does not grow with the number of IDs.
    snapshot = await hasty.owner.fetchval(
        "SELECT snapshot::text FROM subscriptions WHERE subscription_id = $1", subscription.id
    )
    assert "choice-" not in snapshot
    await subscription.cancel_and_wait("2027-01-10 10:00")
    assert await chooses("choice-1", 1) == messages["choice-1"]
    refused = await subscription.expect_refusal(
        "change_renewal_option", term="ANNUAL", members=999, id="choice-1"
    )
    assert refused.code is RefusalCode.COMMAND_ID_REUSED


async def test_refused_signals_are_batched_and_counted_beyond_limit(hasty: ServiceEnv) -> None:
    subscription = await hasty.requested()
    sent = MOST_NOTED_A_DAY + 50
    await gather_all(
        subscription.handle.signal("withdraw_reservation", {"by": f"somebody {n}"}) for n in range(sent)
    )
    await subscription.client.settle(subscription.id)
    assert await refusals(hasty, subscription) == (MOST_NOTED_A_DAY, 0)
    assert max(await lengths_of_runs(subscription)) < EVENTS_A_RUN + 2 * sent

    day = await subscription.today()
    now = await subscription.client.clock(subscription.id).now()
    await subscription.advance_clock_to(now + timedelta(days=1))

    async def counted() -> bool:
        return await refusals(hasty, subscription) == (MOST_NOTED_A_DAY, 50)

    await wait_for("the rest of the day is counted", counted)
    entry = next(
        entry
        for entry in await subscription.client.timeline(subscription.id)
        if "without their own entries" in entry.message
    )
    assert f"{day}" in entry.message
    assert "50" in entry.message
    assert await subscription.failed_tasks() == []


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
            assert await refusals(service_env, subscription) == (MOST_NOTED_A_DAY, 0)
            events = await subscription.events()
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


async def test_signals_per_run_are_limited(stack: EmbeddedStack, temporal: Client) -> None:
    """The server would suggest a new run much later, but a longer run takes too long to replay."""
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid("2027-01-10 09:00")
        runs = len(await subscription.has_run(2))
        await gather_all(subscription.handle.signal("withdraw_reservation", {}) for _ in range(499))
        async with service_env.worker():
            await subscription.client.settle(subscription.id)
            assert len(await subscription.run_ids()) == runs
            await subscription.handle.signal("withdraw_reservation", {})
            await subscription.has_run(runs + 1)
            await subscription.client.settle(subscription.id)
            assert await refusals(service_env, subscription) == (MOST_NOTED_A_DAY, 0)
            assert await subscription.failed_tasks() == []


async def test_input_without_effect_also_continues_as_new(hasty: ServiceEnv) -> None:
    """Signals and updates that change nothing do not wake the main loop, but their events count."""
    subscription = await hasty.requested()
    for number in range(EVENTS_A_RUN):
        await subscription.handle.signal("needs_attention", {"needed": number % 2 == 0})
        if number % 5 == 0:
            await subscription.handle.execute_update("request")
    await subscription.client.settle(subscription.id)
    assert len(await lengths_of_runs(subscription)) > 1
    assert max(await lengths_of_runs(subscription)) < EVENTS_A_RUN + LAST_STEPS


async def test_sdk_limit_that_is_extended_still_exists(temporal: Client) -> None:
    worker = Worker(
        temporal,
        task_queue="unserved",
        workflows=WORKFLOWS,
        workflow_runner=WORKFLOW_RUNNER,
        build_id="test",
    )
    assert worker._workflow_worker is not None
    assert worker._workflow_worker._deadlock_timeout_seconds == 2
    extend_deadlock_detection(worker)
    assert worker._workflow_worker._deadlock_timeout_seconds == LONGEST_TASK_SECONDS
