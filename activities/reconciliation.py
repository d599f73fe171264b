"""Reconciling, page by page: what is amiss is found, repaired where that is safe, and reported (nightly)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from activities.catalogues import price_book
from activities.checking_record import (
    Recorded,
    erase_again,
    findings_in,
    insert_missing_lines,
    recorded_page,
    rewrite_row,
)
from activities.checking_workflows import WorkflowChecks
from activities.database import Pool
from activities.leftovers import delete_history, leftover_histories
from subscription.catalogue import PriceBook
from subscription.effects import WORKFLOW_ID_PREFIX
from subscription.reconciliation import Finding, FindingCode, Reconciled, ReconcilePage, ReconcileReport
from subscription.state import State

_PAGE = 200
_AT_ONCE = 20

# Each is safe, for it makes the record what its own append-only events tell. What is not here needs somebody.
_REPAIRS: Mapping[FindingCode, Callable[[Pool, Recorded], Awaitable[bool]]] = {
    FindingCode.ROW_DIFFERS: rewrite_row,
    FindingCode.LINE_MISSING: insert_missing_lines,
    FindingCode.DATA_LEFT: erase_again,
}


class ReconciliationActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client
        self._workflows = WorkflowChecks(client, pool)

    @activity.defn
    async def reconcile_page(self, wanted: ReconcilePage) -> Reconciled:
        """Look at a page of the record; looked at again, it reports nothing twice."""
        await self._begin(wanted.run)
        page = await recorded_page(self._pool, wanted.after, _PAGE)
        book = await price_book(self._pool)
        seats = asyncio.Semaphore(_AT_ONCE)

        async def looked_at(recorded: Recorded) -> list[Finding]:
            async with seats:
                found = await self._look_at(recorded, book)
                activity.heartbeat()
                return found

        findings = [each for found in await asyncio.gather(*map(looked_at, page)) for each in found]
        await self._report(wanted.run, findings)
        await self._show_attention(wanted.run, page, findings)
        return Reconciled(
            looked_at=len(page),
            found=len(findings),
            repaired=sum(finding.repaired for finding in findings),
            next_after=page[-1].id if len(page) == _PAGE else None,
        )

    @activity.defn
    async def reconcile_strays(self, wanted: ReconcilePage) -> Reconciled:
        """Look through Temporal for what the record does not expect there."""
        grace = timedelta(minutes=wanted.grace_minutes)
        findings = await self._workflows_without_a_row(grace)
        async for leftover in leftover_histories(self._client, self._pool, grace):
            await delete_history(self._client, leftover)
            findings.append(
                Finding(
                    subscription_id=leftover.subscription_id,
                    code=FindingCode.DATA_LEFT,
                    message=f"The history of run {leftover.run_id} was left after the erasure.",
                    repaired=True,
                )
            )
        await self._report(wanted.run, findings)
        repaired = sum(finding.repaired for finding in findings)
        return Reconciled(looked_at=0, found=len(findings), repaired=repaired)

    @activity.defn
    async def finish_reconciliation(self, report: ReconcileReport) -> ReconcileReport:
        await self._pool.execute(
            """
            UPDATE reconciliations
               SET finished_at = clock_timestamp(), looked_at = $2, found = $3, repaired = $4
             WHERE run = $1
            """,
            report.run,
            report.looked_at,
            report.found,
            report.repaired,
        )
        return report

    async def _look_at(self, recorded: Recorded, book: PriceBook) -> list[Finding]:
        findings = list(findings_in(recorded, book))
        if recorded.snapshot.state is not State.ERASED and recorded.events_are_whole:
            amiss = await self._workflows.finding_in(recorded)
            findings += [amiss] if amiss else []
        contradicted = any(finding.code is FindingCode.WORKFLOW_DIFFERS for finding in findings)
        return [await self._repaired(finding, recorded, contradicted) for finding in findings]

    async def _repaired(self, finding: Finding, recorded: Recorded, contradicted: bool) -> Finding:
        """The finding, repaired if that is safe: not when the workflow contradicts the events as well."""
        repair = _REPAIRS.get(finding.code)
        if repair is None or contradicted:
            return finding
        return finding.model_copy(update={"repaired": await repair(self._pool, recorded)})

    async def _workflows_without_a_row(self, grace: timedelta) -> list[Finding]:
        begun_by = (datetime.now(UTC) - grace).isoformat()
        query = (
            "WorkflowType = 'SubscriptionWorkflow' AND ExecutionStatus = 'Running' "
            f"AND StartTime <= '{begun_by}'"
        )
        findings: list[Finding] = []
        page: list[str] = []
        async for run in self._client.list_workflows(query):
            page.append(run.id.removeprefix(WORKFLOW_ID_PREFIX))
            if len(page) == _PAGE:
                findings += await self._without_a_row(page)
                page = []
                activity.heartbeat()
        return findings + await self._without_a_row(page)

    async def _without_a_row(self, ids: Sequence[str]) -> list[Finding]:
        rows = await self._pool.fetch(
            "SELECT subscription_id FROM subscriptions WHERE subscription_id = ANY($1)", ids
        )
        strangers = sorted(set(ids) - {row["subscription_id"] for row in rows})
        message = "A workflow runs for a subscription that the record does not have."
        return [
            Finding(subscription_id=stranger, code=FindingCode.ROW_MISSING, message=message)
            for stranger in strangers
        ]

    async def _begin(self, run: str) -> None:
        await self._pool.execute("INSERT INTO reconciliations (run) VALUES ($1) ON CONFLICT DO NOTHING", run)

    async def _report(self, run: str, findings: Sequence[Finding]) -> None:
        await self._pool.executemany(
            """
            INSERT INTO reconciliation_findings (run, subscription_id, code, message, repaired)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
            """,
            [
                (run, finding.subscription_id, finding.code, finding.message, finding.repaired)
                for finding in findings
            ],
        )

    async def _show_attention(self, run: str, page: Sequence[Recorded], findings: Sequence[Finding]) -> None:
        """Raised on what needs somebody; lowered on what needed somebody the last time and is well now."""
        needing = {finding.subscription_id for finding in findings if not finding.repaired}
        rows = await self._pool.fetch(
            """
            SELECT DISTINCT subscription_id FROM reconciliation_findings
             WHERE NOT repaired AND subscription_id = ANY($2) AND run =
                   (SELECT run FROM reconciliations
                     WHERE run != $1 AND finished_at IS NOT NULL ORDER BY started_at DESC LIMIT 1)
            """,
            run,
            [recorded.id for recorded in page],
        )
        for subscription_id in needing:
            await self._workflows.set_attention(subscription_id, needed=True)
        for row in rows:
            if row["subscription_id"] not in needing:
                await self._workflows.set_attention(row["subscription_id"], needed=False)
