"""The schedules of the jobs: declared in one module, applied as declared, and triggered on request."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from support.namespaces import new_namespace
from support.polling import wait_for
from support.service_env import ServiceEnv, open_service_env
from temporalio.client import (
    Client,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from adapters.temporal.client import TASK_QUEUE
from dev_stack.stack import EmbeddedStack
from starter.schedules import (
    JOBS,
    TIME_ZONE,
    ApplyResult,
    Job,
    JobFailedError,
    NotAppliedError,
    ScheduleStatus,
    apply_schedules,
    list_schedules,
    pause,
    result_of,
    resume,
    trigger,
)
from subscription.business_calendar import KST

BY_NAME = {job.name: job for job in JOBS}
RECONCILE, PURGE = BY_NAME["reconcile"], BY_NAME["purge"]


@pytest.fixture
async def namespace(temporal: Client) -> Client:
    """Create a separate namespace, because all tests share the schedules of the common one."""
    return await new_namespace(temporal)


@pytest.fixture
async def isolated_env(stack: EmbeddedStack, namespace: Client) -> AsyncIterator[ServiceEnv]:
    """Open an environment without a worker in that namespace, on the task queue of the schedules."""
    async with open_service_env(stack, namespace, works=False, task_queue=TASK_QUEUE) as service_env:
        yield service_env


async def listed(client: Client) -> dict[str, ScheduleStatus]:
    return {each.name: each for each in await list_schedules(client)}


async def test_applying_schedules_again_changes_nothing(namespace: Client) -> None:
    assert set((await apply_schedules(namespace)).values()) == {ApplyResult.CREATED}
    assert set((await apply_schedules(namespace)).values()) == {ApplyResult.UNCHANGED}


async def test_manual_schedule_edits_are_corrected_but_not_pauses(namespace: Client) -> None:
    await apply_schedules(namespace)
    declared = (await namespace.get_schedule_handle("worksub-reconcile").describe()).schedule
    noon = ScheduleSpec(
        calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(12)])], time_zone_name="Europe/Paris"
    )
    await pause(namespace, RECONCILE, "the mail server is moved")

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = found.description.schedule
        policy = replace(schedule.policy, overlap=ScheduleOverlapPolicy.ALLOW_ALL)
        return ScheduleUpdate(replace(schedule, spec=noon, policy=policy))

    await namespace.get_schedule_handle("worksub-reconcile").update(changed)

    assert (await apply_schedules(namespace))["reconcile"] is ApplyResult.UPDATED

    corrected = (await namespace.get_schedule_handle("worksub-reconcile").describe()).schedule
    assert (corrected.spec, corrected.policy) == (declared.spec, declared.policy)
    found = (await listed(namespace))["reconcile"]
    assert (found.paused, found.pause_note, found.next_run_at) == (True, "the mail server is moved", None)
    await resume(namespace, RECONCILE)
    assert not (await listed(namespace))["reconcile"].paused
    assert set((await apply_schedules(namespace)).values()) == {ApplyResult.UNCHANGED}


async def test_schedule_list_shows_next_run_and_unapplied_changes(namespace: Client) -> None:
    """The next run is shown in Korean time."""
    assert not any(each.applied for each in await list_schedules(namespace))
    await apply_schedules(namespace)
    for each in await list_schedules(namespace):
        job = BY_NAME[each.name]
        assert each.applied
        assert each.last_run is None
        assert each.next_run_at is not None
        at = each.next_run_at.astimezone(KST)
        assert (at.hour, at.minute, job.day or at.day) == (job.hour, job.minute, at.day)
    assert TIME_ZONE == "Asia/Seoul"


async def test_unapplied_job_cannot_be_triggered_or_paused(namespace: Client) -> None:
    for attempt in (trigger(namespace, PURGE), pause(namespace, PURGE, "why"), resume(namespace, PURGE)):
        with pytest.raises(NotAppliedError, match="purge"):
            await attempt


async def test_triggered_job_runs_now_and_lists_its_report(
    isolated_env: ServiceEnv,
) -> None:
    await apply_schedules(isolated_env.temporal)
    await pause(isolated_env.temporal, PURGE, "not by itself")
    async with isolated_env.worker():
        report = await result_of(await trigger(isolated_env.temporal, PURGE))
    assert report["summary"] == "Nothing was past its retention."
    last = (await listed(isolated_env.temporal))["purge"].last_run
    assert last is not None
    assert (last.status, last.summary) == ("COMPLETED", report["summary"])


async def test_job_triggered_during_a_run_runs_again_afterwards(isolated_env: ServiceEnv) -> None:
    await apply_schedules(isolated_env.temporal)
    first = await trigger(isolated_env.temporal, RECONCILE)
    waiting = asyncio.create_task(trigger(isolated_env.temporal, RECONCILE))
    await wait_for("it waits", lambda: is_buffered(isolated_env.temporal, RECONCILE))
    assert not waiting.done()
    async with isolated_env.worker():
        await result_of(first)
        second = await waiting
        assert second.run_id != first.run_id
        assert (await result_of(second))["summary"] == "0 subscriptions checked, no findings."


async def is_buffered(client: Client, job: Job) -> bool:
    described = await client.get_schedule_handle(job.schedule_id).describe()
    return described.raw_description.info.buffer_size > 0


async def test_run_without_report_is_listed_as_failed(isolated_env: ServiceEnv) -> None:
    await apply_schedules(isolated_env.temporal)
    run = await trigger(isolated_env.temporal, PURGE)
    await run.terminate(reason="by an operator")
    with pytest.raises(JobFailedError, match="by an operator"):
        await result_of(run)

    async def is_listed() -> bool:
        last = (await listed(isolated_env.temporal))["purge"].last_run
        return last is not None and (last.status, last.summary) == ("TERMINATED", None)

    await wait_for("the list shows it", is_listed)


async def test_missed_schedule_runs_are_caught_up(namespace: Client) -> None:
    await apply_schedules(namespace)
    for job in JOBS:
        described = await namespace.get_schedule_handle(job.schedule_id).describe()
        assert described.schedule.policy.catchup_window == timedelta(days=7)
        assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
