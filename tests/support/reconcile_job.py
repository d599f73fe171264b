"""Runs of the scheduled job `reconcile`, and their findings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from activities.reconciliation.scope import CLOCK_DIFFERENCE
from dev_stack.stack import EmbeddedStack
from subscription.reconciliation import ReportedFinding

from .polling import wait_for
from .service_env import ServiceEnv, open_service_env, unique_name
from .subscription_driver import SubscriptionDriver

ANSWER_TIMEOUT = timedelta(seconds=2)


@asynccontextmanager
async def stuck_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an environment for workflows that do not answer: the job waits a short time for each answer."""
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(answer_timeout=ANSWER_TIMEOUT),
    ):
        yield service_env


async def reconciled(
    service_env: ServiceEnv, grace_minutes: int = 0, *, query_all: bool = False
) -> dict[str, Any]:
    """Return the report of a run. Only a grace period lets work count as still in progress."""
    report: dict[str, Any] = await service_env.temporal.execute_workflow(
        "ReconcileWorkflow",
        {"grace_minutes": grace_minutes, "query_all": query_all},
        id=unique_name("reconcile"),
        task_queue=service_env.task_queue,
    )
    return report


async def found(service_env: ServiceEnv, grace_minutes: int = 0) -> list[ReportedFinding]:
    """Run the job; return its findings."""
    report = await reconciled(service_env, grace_minutes)
    findings = await service_env.client.findings(report["run"])
    assert report["found"] == len(findings)
    assert report["repaired"] == sum(finding.repaired for finding in findings)
    return findings


async def codes(service_env: ServiceEnv) -> dict[str | None, list[tuple[str, bool]]]:
    """Run the job; return the finding codes per subscription."""
    by_id: dict[str | None, list[tuple[str, bool]]] = {}
    for finding in await found(service_env):
        by_id.setdefault(finding.subscription_id, []).append((finding.code.value, finding.repaired))
    return by_id


async def night_passed(service_env: ServiceEnv) -> None:
    """Run the job in a consistent system, as in the night before."""
    report = await reconciled(service_env)
    assert report["found"] == 0
    await since_last_night(service_env)


async def since_last_night(service_env: ServiceEnv) -> None:
    """Let only what follows count as changed since the latest run, which Temporal must list."""
    finished_by = await service_env.owner.fetchval(
        """
        UPDATE reconciliations SET started_at = clock_timestamp() + $1
         WHERE finished_at = (SELECT max(finished_at) FROM reconciliations) RETURNING finished_by
        """,
        CLOCK_DIFFERENCE,
    )
    query = f"RunId = '{finished_by}' AND ExecutionStatus = 'Completed'"

    async def is_listed() -> bool:
        return (await service_env.temporal.count_workflows(query)).count > 0

    await wait_for("the run is listed", is_listed)


async def needs_attention(subscription: SubscriptionDriver) -> bool:
    described = await subscription.handle.describe()
    shown = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return bool(shown.get("NeedsAttention"))


async def gets_attention(subscription: SubscriptionDriver, *, needed: bool = True) -> None:
    async def shown() -> bool:
        return await needs_attention(subscription) is needed

    await wait_for(f"NeedsAttention is {needed}", shown)
