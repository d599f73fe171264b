"""Shared context of a reconciliation run, and the findings of one subscription."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client

from activities.reconciliation.history_reader import HistoryReader
from activities.reconciliation.report import Report
from activities.reconciliation.workflow_probe import WorkflowProbe
from adapters.outages import concerns_all
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from subscription.batch import MemberFailure
from subscription.catalogue import PriceBook
from subscription.reconciliation import Finding, FindingCode

# So many subscriptions at a time; this also bounds how many workflows begin anew when all have been lost.
_AT_ONCE = 20

Repair = Callable[[], Awaitable[bool]]


@dataclass
class ReconcileContext:
    """What looks are made with. What began or ended less than `grace` ago may still be under way.

    `book` has the versions of the record, and those that were restored to it since.
    """

    pool: Pool
    client: Client
    workspaces: WorkspaceProvisioner
    book: PriceBook
    report: Report
    grace: timedelta
    workflows: WorkflowProbe
    histories: HistoryReader
    restoring_book: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class SubscriptionCheck:
    """Whatever is found is reported first, and then repaired."""

    report: Report
    subscription_id: str
    found: list[Finding] = field(default_factory=list)

    @property
    def still_open(self) -> list[Finding]:
        return [finding for finding in self.found if not finding.repaired]

    @property
    def has_repaired(self) -> bool:
        return len(self.still_open) < len(self.found)

    async def finds(self, code: FindingCode, message: str, repair: Repair | None = None) -> bool:
        """Whether it has been repaired."""
        return await self.says(
            Finding(subscription_id=self.subscription_id, code=code, message=message), repair
        )

    async def says(self, finding: Finding, repair: Repair | None = None) -> bool:
        """As `finds`; a finding that was repaired before it is said needs no repair."""
        activity.heartbeat()
        await self.report.add(finding)
        repaired = finding.repaired
        if repair is not None and await repair():
            repaired = True
            await self.report.mark_repaired(finding)
        self.found.append(finding.model_copy(update={"repaired": repaired}))
        return repaired


async def guarded(look: SubscriptionCheck, looking: Awaitable[None]) -> SubscriptionCheck:
    """Run a check; an error that concerns this subscription alone becomes a finding."""
    try:
        await looking
    except Exception as error:
        if concerns_all(error):
            raise
        await look.finds(FindingCode.UNREADABLE, f"It could not be examined: {type(error).__name__}.")
    return look


async def unreadable(means: ReconcileContext, failure: MemberFailure) -> SubscriptionCheck:
    """Report a subscription of which nothing can be read."""
    look = SubscriptionCheck(means.report, failure.member)
    await look.finds(FindingCode.UNREADABLE, f"It could not be examined: {failure.error}.")
    return look


async def run_checks(looks: Iterable[Coroutine[Any, Any, SubscriptionCheck]]) -> list[SubscriptionCheck]:
    """All of these looks, so many at a time; the first that fails ends the others."""
    seats = asyncio.Semaphore(_AT_ONCE)

    async def one(look: Coroutine[Any, Any, SubscriptionCheck]) -> SubscriptionCheck:
        try:
            async with seats:
                activity.heartbeat()
                return await look
        finally:
            look.close()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(look)) for look in looks]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
