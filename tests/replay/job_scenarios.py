"""Scenarios of the scheduled jobs and of adjustments. A new job gets a function here."""

from contextlib import suppress
from typing import Any

from support.service_env import ServiceEnv, unique_name
from temporalio.client import WorkflowFailureError, WorkflowHistory

from subscription.refusals import RefusalError
from workflows.registry import WORKFLOWS

from .recording_env import Scene, replay_scenario


async def job(
    scene: Scene, service_env: ServiceEnv, workflow: str, argument: Any = None
) -> list[WorkflowHistory]:
    """Run a job; return its run for any result."""
    handle = await service_env.temporal.start_workflow(
        workflow, argument, id=unique_name("job"), task_queue=service_env.task_queue
    )
    with suppress(WorkflowFailureError):
        await handle.result()
    return await scene.recorder.runs_of(service_env.temporal, handle.id)


@replay_scenario()
async def started_with_nothing(scene: Scene) -> list[WorkflowHistory]:
    """Every workflow, started without an argument, like jobs by their schedules."""
    async with scene.own_service_env() as service_env:
        return [run for each in WORKFLOWS for run in await job(scene, service_env, each.__name__)]


@replay_scenario()
async def invoices(scene: Scene) -> list[WorkflowHistory]:
    """Close a month twice, a month that has not ended, and an invalid month."""
    async with scene.own_service_env() as service_env:
        for _ in range(2):
            subscription = await service_env.paid("2026-03-01 09:00", "MONTHLY")
            await subscription.advance_to("2026-04-01 00:00")
        months: list[Any] = [
            {"month": "2026-03"},
            {"month": "2026-03"},
            {"month": "2099-01"},
            {"month": "May"},
        ]
        return [run for month in months for run in await job(scene, service_env, "InvoicesWorkflow", month)]


@replay_scenario()
async def adjustments(scene: Scene) -> list[WorkflowHistory]:
    """Correct a line, repeat the same correction, and correct a missing line."""
    subscription = await scene.service_env.paid("2026-03-01 09:00", "MONTHLY")
    await subscription.advance_to("2026-04-01 00:00")
    [line] = await subscription.ledger()
    runs = []
    for name, key in (("first", line.key), ("first", line.key), ("second", "no such line")):
        wanted = {
            "subscription_id": subscription.id,
            "id": name,
            "key": key,
            "amount": -500,
            "reason": "GOODWILL",
            "reference": "T-1",
        }
        with suppress(RefusalError):
            await subscription.client.adjust(wanted)
        runs += await scene.recorder.runs_of(
            scene.service_env.temporal, f"adjustment-{subscription.id}-{name}"
        )
    return runs


@replay_scenario()
async def reconcile(scene: Scene) -> list[WorkflowHistory]:
    async with scene.own_service_env() as service_env:
        await service_env.requested("2026-03-01 09:00")
        return [
            run
            for argument in ({"grace_minutes": 5}, {"colour": "red"})
            for run in await job(scene, service_env, "ReconcileWorkflow", argument)
        ]
