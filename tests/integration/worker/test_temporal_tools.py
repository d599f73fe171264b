"""Temporal's own cancel and reset, which every tool offers: they end no subscription and repeat no write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.polling import wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus

from dev_stack.stack import EmbeddedStack
from integration.commands.test_signals import refusal_codes, stays_responsive
from subscription.refusals import RefusalCode

START = "2027-01-10 09:00"
REFUSED = ("Temporal's cancellation", RefusalCode.CANCEL_BY_COMMAND)


async def refuses(service_env: ServiceEnv, subscription: SubscriptionDriver, times: int) -> None:
    async def refused() -> bool:
        return await refusal_codes(service_env, subscription) == [REFUSED] * times

    await wait_for(f"{times} requests to cancel are refused in the timeline", refused)


async def event_types(subscription: SubscriptionDriver) -> list[int]:
    return [event.event_type for event in await subscription.whole_history()]


@asynccontextmanager
async def row_locked(service_env: ServiceEnv, subscription: SubscriptionDriver) -> AsyncIterator[None]:
    """Lock the row of this subscription, so that every write to it waits."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            "SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", subscription.id
        )
        yield


async def test_workflow_cancellation_is_refused_in_timeline(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    async with stays_responsive(subscription):
        await subscription.handle.cancel()
        await refuses(service_env, subscription, 1)
        message = (await subscription.client.timeline(subscription.id))[-1].message
        assert message.startswith(
            "Temporal's cancellation was refused: This does not cancel the subscription. Send "
        )
        assert (await subscription.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await subscription.advance_to("2027-02-01 00:00")
    assert (await subscription.events())[-1] == "SERVICE_FEES_POSTED"


async def test_cancellation_request_interrupts_no_work(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)

    async def recording() -> bool:
        pending = (await subscription.handle.describe()).raw_description.pending_activities
        return [each.state for each in pending] == [PendingActivityState.PENDING_ACTIVITY_STATE_STARTED]

    async with row_locked(service_env, subscription):
        pending_command = asyncio.create_task(
            subscription.send("change_renewal_option", at=START, term="ANNUAL")
        )
        await wait_for("the change is being recorded", recording)
        await subscription.handle.cancel()
    assert [entry.event for entry in (await pending_command).events] == ["RENEWAL_OPTION_CHANGED"]
    await refuses(service_env, subscription, 1)
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED not in await event_types(subscription)
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == 1


async def test_cancellation_is_refused_in_each_run_and_on_replay(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid(START)
            await subscription.handle.cancel()
            await refuses(service_env, subscription, 1)
            await subscription.advance_to("2028-01-10 00:00")  # six months have ended: a new run starts
            await subscription.has_run(3)
        await subscription.handle.cancel()
        async with service_env.worker():
            await refuses(service_env, subscription, 2)
        async with service_env.worker():
            await subscription.send("rename_account", at="2028-01-11 00:00", group=unique_name("still-alive"))
            assert await refusal_codes(service_env, subscription) == [REFUSED] * 2
            assert await subscription.failed_tasks() == []


async def test_cancellation_request_before_the_first_task(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        requested = asyncio.create_task(service_env.requested(START))

        async def is_cancelled() -> bool:
            runs = [run async for run in temporal.list_workflows(f"TaskQueue = '{service_env.task_queue}'")]
            for run in runs:
                await temporal.get_workflow_handle(run.id).cancel()
            return bool(runs)

        await wait_for("the request has reached Temporal", is_cancelled)
        async with service_env.worker():
            subscription = await requested
            await refuses(service_env, subscription, 1)
            assert await subscription.events() == ["TRIAL_STARTED", "REFUSED"]


# -- reset -------------------------------------------------------------------------------------------


async def reset(subscription: SubscriptionDriver, event_id: int, *, again: bool = True) -> None:
    """Reset to this event of the current run, as `temporal workflow reset` does.

    Later updates and signals are applied again, or are lost as after a restore of a backup.
    """
    everything = ResetReapplyExcludeType.values() if not again else []
    await subscription.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=subscription.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=subscription.workflow_id),
            reason="an operator's mistake",
            workflow_task_finish_event_id=event_id,
            request_id=unique_name("reset"),
            reset_reapply_exclude_types=everything,
        ),
        retry=True,
    )


async def first_task(subscription: SubscriptionDriver) -> int:
    """Return the first completed workflow task of the current run."""
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return next(event.event_id for event in await subscription.history() if event.event_type == done)


async def test_repeated_events_after_reset_are_not_written_again(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid(START)
    await subscription.advance_to("2027-04-01 00:00")
    before, lines = await subscription.client.timeline(subscription.id), await subscription.ledger()
    await reset(subscription, await first_task(subscription))
    # Temporal applies the commands again; in this simulated subscription, with their own times.
    await subscription.advance_to("2027-05-01 00:00")
    assert (await subscription.client.timeline(subscription.id))[: len(before)] == before
    assert (await subscription.ledger())[: len(lines)] == lines
    assert (await subscription.events()).count("SERVICE_FEES_POSTED") == 4
    assert await subscription.failed_tasks() == [
        "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW: an operator's mistake"
    ]


async def test_reset_workflow_writes_nothing_and_can_restart(
    service_env: ServiceEnv,
) -> None:
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    await subscription.send("upgrade", members=20)
    before = await subscription.client.timeline(subscription.id)
    await reset(subscription, await first_task(subscription))

    async def reports_divergence() -> bool:
        pending = (await subscription.handle.describe()).raw_description.pending_activities
        failures = [
            await service_env.temporal.data_converter.decode_failure(each.last_failure) for each in pending
        ]
        return any("is already recorded with different content" in str(failure) for failure in failures)

    await wait_for("the upgrade, applied again at another time, cannot be recorded", reports_divergence)
    assert await subscription.client.timeline(subscription.id) == before

    await subscription.handle.terminate("after a reset")
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow", id=subscription.workflow_id, task_queue=service_env.task_queue
    )
    await wait_for("the new workflow has started", subscription.has_started)
    await subscription.send("rename_account", group=unique_name("after-a-reset"))
    assert (await subscription.client.timeline(subscription.id))[:-1] == before
