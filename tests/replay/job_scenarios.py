"""Scenarios of the scheduled jobs and of adjustments. A new job gets a function here."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from support.service_env import ServiceEnv, unique_name
from temporalio.client import WorkflowFailureError, WorkflowHistory

from starter.selection import Selection
from subscription.bulk import BULK_WORKFLOW_PREFIX, parse_bulk_command
from subscription.commands import Command
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


@replay_scenario(compared=False)
async def bulk_run(scene: Scene) -> list[WorkflowHistory]:
    """Reserve the switch of two subscriptions, and stop a run with three after its first second."""
    service_env = scene.service_env
    bulk = service_env.client.bulk_runs(service_env.owner)
    runs = []
    for number, rate in ((2, 100), (3, 1)):
        trials = [await service_env.requested() for _ in range(number)]
        argument = {"date": f"{await trials[0].today() + timedelta(days=1)}", "term": "ANNUAL"}
        command = parse_bulk_command("switch_to_paid", argument)
        assert isinstance(command, Command)
        selection = Selection(ids=tuple(trial.id for trial in trials))
        preview = (await bulk.preview(command, selection)).summary.preview
        await bulk.start(command, selection, preview=preview, rate=rate)
        workflow_id = f"{BULK_WORKFLOW_PREFIX}{preview}"
        if rate == 1:
            await bulk.pause(preview)
            await bulk.resume(preview)
            await bulk.stop(preview)
        await service_env.temporal.get_workflow_handle(workflow_id).result()
        runs += await scene.recorder.runs_of(service_env.temporal, workflow_id)
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
