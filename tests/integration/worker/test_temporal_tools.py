"""Temporal's own cancel and reset, which every tool offers: neither ends a life nor writes anything twice."""

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
from integration.commands.test_signals import goes_on, refusal_codes
from subscription.refusals import RefusalCode

START = "2027-01-10 09:00"
REFUSED = ("Temporal's cancellation", RefusalCode.CANCEL_BY_COMMAND)


async def refuses(house: ServiceEnv, life: SubscriptionDriver, times: int) -> None:
    async def refused() -> bool:
        return await refusal_codes(house, life) == [REFUSED] * times

    await wait_for(f"{times} requests to cancel are refused in the timeline", refused)


async def event_types(life: SubscriptionDriver) -> list[int]:
    return [event.event_type for event in await life.whole_history()]


@asynccontextmanager
async def row_locked(house: ServiceEnv, life: SubscriptionDriver) -> AsyncIterator[None]:
    """Whoever wants to record something of this life has to wait."""
    async with house.owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", life.id)
        yield


async def test_a_request_to_cancel_the_workflow_is_refused_in_the_timeline(house: ServiceEnv) -> None:
    life = await house.paid(START)
    async with goes_on(life):
        await life.handle.cancel()
        await refuses(house, life, 1)
        said = (await life.client.timeline(life.id))[-1].message
        assert said.startswith("Temporal's cancellation was refused: It ends no subscription; send the ")
        assert (await life.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await life.passes_to("2027-02-01 00:00")
    assert (await life.events())[-1] == "SERVICE_FEES_POSTED"


async def test_it_breaks_off_nothing_that_is_under_way(house: ServiceEnv) -> None:
    life = await house.paid(START)

    async def recording() -> bool:
        pending = (await life.handle.describe()).raw_description.pending_activities
        return [each.state for each in pending] == [PendingActivityState.PENDING_ACTIVITY_STATE_STARTED]

    async with row_locked(house, life):
        asked = asyncio.create_task(life.asks("change_renewal_option", at=START, term="ANNUAL"))
        await wait_for("the change is being recorded", recording)
        await life.handle.cancel()
    assert [entry.event for entry in (await asked).events] == ["RENEWAL_OPTION_CHANGED"]
    await refuses(house, life, 1)
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED not in await event_types(life)
    assert (await life.events()).count("RENEWAL_OPTION_CHANGED") == 1


async def test_it_is_refused_in_each_run_and_told_the_same_by_another_worker(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as house:
        async with house.worker():
            life = await house.paid(START)
            await life.handle.cancel()
            await refuses(house, life, 1)
            await life.passes_to("2028-01-10 00:00")  # a contract year has ended: a new run begins
            await life.has_run(3)
        await life.handle.cancel()
        async with house.worker():
            await refuses(house, life, 2)
        async with house.worker():
            await life.asks("rename_account", at="2028-01-11 00:00", group=unique_name("still-alive"))
            assert await refusal_codes(house, life) == [REFUSED] * 2
            assert await life.failed_tasks() == []


async def test_it_may_come_before_anything_has_begun(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as house:
        requested = asyncio.create_task(house.requested(START))

        async def is_cancelled() -> bool:
            runs = [run async for run in temporal.list_workflows(f"TaskQueue = '{house.task_queue}'")]
            for run in runs:
                await temporal.get_workflow_handle(run.id).cancel()
            return bool(runs)

        await wait_for("the request has reached Temporal", is_cancelled)
        async with house.worker():
            life = await requested
            await refuses(house, life, 1)
            assert await life.events() == ["TRIAL_STARTED", "REFUSED"]


# -- reset -------------------------------------------------------------------------------------------


async def reset(life: SubscriptionDriver, event_id: int, *, again: bool = True) -> None:
    """Go on from this event of the present run, as `temporal workflow reset` does.

    What was asked since is asked again, or is lost as in a backup.
    """
    everything = ResetReapplyExcludeType.values() if not again else []
    await life.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=life.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=life.workflow_id),
            reason="an operator's mistake",
            workflow_task_finish_event_id=event_id,
            request_id=unique_name("reset"),
            reset_reapply_exclude_types=everything,
        ),
        retry=True,
    )


async def first_task(life: SubscriptionDriver) -> int:
    """The first workflow task of the present run that has completed."""
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return next(event.event_id for event in await life.history() if event.event_type == done)


async def test_what_happens_again_after_a_reset_is_not_written_again(house: ServiceEnv) -> None:
    life = await house.paid(START)
    await life.passes_to("2027-04-01 00:00")
    before, lines = await life.client.timeline(life.id), await life.ledger()
    await reset(life, await first_task(life))
    # What was asked is asked again by Temporal, in this life with its own times.
    await life.passes_to("2027-05-01 00:00")
    assert (await life.client.timeline(life.id))[: len(before)] == before
    assert (await life.ledger())[: len(lines)] == lines
    assert (await life.events()).count("SERVICE_FEES_POSTED") == 4
    assert await life.failed_tasks() == ["WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW: an operator's mistake"]


async def test_a_life_that_a_reset_has_set_against_its_record_writes_nothing_and_can_begin_anew(
    house: ServiceEnv,
) -> None:
    life = await house.requested()
    await life.asks("switch_to_paid", date=f"{await life.today()}", term="MONTHLY")
    await life.asks("upgrade", members=20)
    before = await life.client.timeline(life.id)
    await reset(life, await first_task(life))

    async def says_why_it_is_stuck() -> bool:
        pending = (await life.handle.describe()).raw_description.pending_activities
        failures = [await house.temporal.data_converter.decode_failure(each.last_failure) for each in pending]
        return any("is recorded as another one" in str(failure) for failure in failures)

    await wait_for("the upgrade, asked again at another moment, cannot be recorded", says_why_it_is_stuck)
    assert await life.client.timeline(life.id) == before

    await life.handle.terminate("after a reset")
    await house.temporal.start_workflow(
        "SubscriptionWorkflow", id=life.workflow_id, task_queue=house.task_queue
    )
    await wait_for("the new workflow has started", life.has_started)
    await life.asks("rename_account", group=unique_name("after-a-reset"))
    assert (await life.client.timeline(life.id))[:-1] == before
