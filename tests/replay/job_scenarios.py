"""The kinds of runs of the jobs, and of adjustments. A new job gets a function here."""

from contextlib import suppress
from typing import Any

from support.service_env import ServiceEnv, unique_name
from temporalio.client import WorkflowFailureError, WorkflowHistory

from subscription.refusals import RefusalError
from workflows.registry import WORKFLOWS

from .recording_env import Scene, kind_of_life


async def job(scene: Scene, house: ServiceEnv, workflow: str, argument: Any = None) -> list[WorkflowHistory]:
    """The run of a job, whatever came of it."""
    handle = await house.temporal.start_workflow(
        workflow, argument, id=unique_name("job"), task_queue=house.task_queue
    )
    with suppress(WorkflowFailureError):
        await handle.result()
    return await scene.recorder.runs_of(house.temporal, handle.id)


@kind_of_life()
async def started_with_nothing(scene: Scene) -> list[WorkflowHistory]:
    """Every workflow there is, started without an argument: jobs as their schedules do it."""
    async with scene.house_of_ones_own() as house:
        return [run for each in WORKFLOWS for run in await job(scene, house, each.__name__)]


@kind_of_life()
async def invoices(scene: Scene) -> list[WorkflowHistory]:
    """A month closed, closed again, one that has not ended, and one that is none."""
    async with scene.house_of_ones_own() as house:
        for _ in range(2):
            life = await house.paid("2026-03-01 09:00", "MONTHLY")
            await life.passes_to("2026-04-01 00:00")
        months: list[Any] = [
            {"month": "2026-03"},
            {"month": "2026-03"},
            {"month": "2099-01"},
            {"month": "May"},
        ]
        return [run for month in months for run in await job(scene, house, "InvoicesWorkflow", month)]


@kind_of_life()
async def adjustments(scene: Scene) -> list[WorkflowHistory]:
    """A correction, the same again, and one of a line that is not there."""
    life = await scene.house.paid("2026-03-01 09:00", "MONTHLY")
    await life.passes_to("2026-04-01 00:00")
    [line] = await life.ledger()
    runs = []
    for name, key in (("first", line.key), ("first", line.key), ("second", "no such line")):
        wanted = {
            "subscription_id": life.id,
            "id": name,
            "key": key,
            "amount": -500,
            "reason": "GOODWILL",
            "reference": "T-1",
        }
        with suppress(RefusalError):
            await life.client.adjust(wanted)
        runs += await scene.recorder.runs_of(scene.house.temporal, f"adjustment-{life.id}-{name}")
    return runs


@kind_of_life()
async def reconcile(scene: Scene) -> list[WorkflowHistory]:
    async with scene.house_of_ones_own() as house:
        await house.requested("2026-03-01 09:00")
        return [
            run
            for argument in ({"grace_minutes": 5}, {"colour": "red"})
            for run in await job(scene, house, "ReconcileWorkflow", argument)
        ]
