"""Shared context of a reconciliation run, and the findings of one subscription."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from activities.reconciliation.history_reader import HistoryReader
from activities.reconciliation.report import Report
from activities.reconciliation.scope import Scope
from activities.reconciliation.workflow_probe import WorkflowProbe
from adapters.outages import concerns_all
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from subscription.batch import MemberFailure
from subscription.catalogue import PriceBook
from subscription.reconciliation import Finding, FindingCode

# Concurrent checks of a page. This also limits concurrent workflow starts if all workflows have been lost.
_MAX_CONCURRENT_CHECKS = 20

Repair = Callable[[], Awaitable[bool]]


@dataclass
class ReconcileContext:
    """Dependencies of the checks. A change less than `grace` ago may still be in progress.

    `book` has the catalogue versions of the database, including those restored by this run.
    """

    pool: Pool
    client: Client
    workspaces: WorkspaceProvisioner
    book: PriceBook
    report: Report
    scope: Scope
    grace: timedelta
    workflows: WorkflowProbe
    histories: HistoryReader
    restoring_book: asyncio.Lock = field(default_factory=asyncio.Lock)
    check_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT_CHECKS))


@dataclass
class SubscriptionCheck:
    """Findings of one subscription. Each finding is stored before it is repaired."""

    report: Report
    subscription_id: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def still_open(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.repaired]

    @property
    def has_repaired(self) -> bool:
        return len(self.still_open) < len(self.findings)

    async def add(self, code: FindingCode, message: str, repair: Repair | None = None) -> bool:
        """Store a new finding and repair it; return whether it is repaired."""
        return await self.add_finding(
            Finding(subscription_id=self.subscription_id, code=code, message=message), repair
        )

    async def add_finding(self, finding: Finding, repair: Repair | None = None) -> bool:
        """Store this finding and repair it unless it already is; return whether it is repaired."""
        await self.report.add(finding)
        repaired = finding.repaired
        if repair is not None and await repair():
            repaired = True
            await self.report.mark_repaired(finding)
        self.findings.append(finding.model_copy(update={"repaired": repaired}))
        return repaired


async def run_check(check: SubscriptionCheck, step: Awaitable[None]) -> SubscriptionCheck:
    """Run a check; an error that concerns this subscription alone becomes a finding."""
    try:
        await step
    except Exception as error:
        if concerns_all(error):
            raise
        await check.add(FindingCode.UNREADABLE, f"It could not be checked: {type(error).__name__}.")
    return check


async def unreadable(context: ReconcileContext, failure: MemberFailure) -> SubscriptionCheck:
    """Report a subscription whose rows cannot be read."""
    check = SubscriptionCheck(context.report, failure.member)
    await check.add(FindingCode.UNREADABLE, f"It could not be checked: {failure.error}.")
    return check


async def run_checks(
    context: ReconcileContext, checks: Iterable[Coroutine[Any, Any, SubscriptionCheck]]
) -> list[SubscriptionCheck]:
    """Run checks concurrently, with a limit. The first unexpected error cancels the others."""

    async def run_one(check: Coroutine[Any, Any, SubscriptionCheck]) -> SubscriptionCheck:
        try:
            async with context.check_slots:
                return await check
        finally:
            check.close()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_one(check)) for check in checks]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
