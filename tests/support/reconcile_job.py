"""Runs of the scheduled job `reconcile`, and their findings."""

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.reconciliation.activities import ReconciliationActivities
from activities.reconciliation.workflow_probe import ANSWER_TIMEOUT
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from benchmarks.reconciliation_run import pretend_night_passed, reconcile
from subscription.reconciliation import (
    FinishReconciliation,
    ReconcilePage,
    ReconcileProgress,
    ReconcileReport,
    ReconcileStep,
    ReportedFinding,
)

from .polling import wait_for
from .service_env import ServiceEnv, unique_name
from .subscription_driver import SubscriptionDriver

NEVER = 1_000_000
"""With a rotation of so many nights, no subscription has a turn by chance."""

SHORT_TIMEOUT = timedelta(seconds=2)
"""For runs with a blocked workflow; the others have no finding even if they answer later."""


async def reconciled(
    service_env: ServiceEnv, grace_minutes: int = 0, *, query_all: bool = False
) -> dict[str, Any]:
    """Return the report of a run. Only a grace period lets work count as still in progress."""
    report = await reconcile(
        service_env.temporal,
        grace_minutes=grace_minutes,
        query_all=query_all,
        task_queue=service_env.task_queue,
    )
    return report.model_dump(mode="json")


async def found(
    service_env: ServiceEnv, grace_minutes: int = 0, *, answer_timeout: timedelta = ANSWER_TIMEOUT
) -> list[ReportedFinding]:
    """Check every page as a run does, but in this process; return the findings.

    The activities make up the whole check. A workflow that runs them doubles its cost, so that only the tests
    of runs start one.
    """
    activities = ReconciliationActivities(
        service_env.pool,
        service_env.temporal,
        PostgresWorkspaceProvisioner(service_env.pool),
        service_env.signer,
        release=version("worksub"),
        rotation_nights=NEVER,
        answer_timeout=answer_timeout,
    )
    environment, run = ActivityEnvironment(), unique_name("run")
    info = dataclasses.replace(environment.info, task_queue=service_env.task_queue, workflow_run_id=run)
    progress = ReconcileProgress(grace_minutes=grace_minutes)
    while progress.step is not ReconcileStep.REPORT:
        check = getattr(activities, f"reconcile_{progress.step.value.lower()}")
        page = ReconcilePage(
            run=run,
            after=progress.after,
            grace_minutes=grace_minutes,
            has_unexpected=progress.has_unexpected,
        )
        environment.info = dataclasses.replace(info, current_attempt_scheduled_time=datetime.now(UTC))
        progress = progress.after_page(await environment.run(check, page))
    report: ReconcileReport = await environment.run(
        activities.finish_reconciliation,
        FinishReconciliation(run=run, checked=progress.checked, queried=progress.queried),
    )
    findings = await service_env.client.findings(run)
    assert report.found == len(findings)
    assert report.repaired == sum(finding.repaired for finding in findings)
    return findings


async def codes(service_env: ServiceEnv) -> dict[str | None, list[tuple[str, bool]]]:
    """Run the check; return the finding codes per subscription."""
    return _by_subscription(await found(service_env))


async def codes_of_run(service_env: ServiceEnv) -> dict[str | None, list[tuple[str, bool]]]:
    """Run the job, with the settings of the worker; return the finding codes per subscription."""
    report = await reconciled(service_env)
    return _by_subscription(await service_env.client.findings(report["run"]))


def _by_subscription(findings: Iterable[ReportedFinding]) -> dict[str | None, list[tuple[str, bool]]]:
    by_id: dict[str | None, list[tuple[str, bool]]] = {}
    for finding in findings:
        by_id.setdefault(finding.subscription_id, []).append((finding.code.value, finding.repaired))
    return by_id


async def night_passed(service_env: ServiceEnv) -> None:
    """Run the job in a consistent system, as in the night before."""
    report = await reconciled(service_env)
    assert report["found"] == 0
    await since_last_night(service_env)


async def since_last_night(service_env: ServiceEnv) -> None:
    """Let only what follows count as changed since the latest run, which Temporal must list."""
    await pretend_night_passed(service_env.temporal, service_env.owner)


async def needs_attention(subscription: SubscriptionDriver) -> bool:
    described = await subscription.handle.describe()
    shown = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return bool(shown.get("NeedsAttention"))


async def gets_attention(subscription: SubscriptionDriver, *, needed: bool = True) -> None:
    async def shown() -> bool:
        return await needs_attention(subscription) is needed

    await wait_for(f"NeedsAttention is {needed}", shown)
