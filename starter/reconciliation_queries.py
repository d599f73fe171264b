"""Queries of the results of reconciliation."""

from starter.scoped_queries import ScopedQueries
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import RefusalCode, refusal


class ReconciliationQueries(ScopedQueries):
    """Runs of the job `reconcile` and their findings, for operators."""

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """Return this run of the reconciliation job, or the latest run."""
        self._check_operator()
        row = await self._pool.fetchrow(
            """
            SELECT run, started_at, finished_at, checked, queried,
                   (SELECT count(*) FROM reconciliation_findings AS each WHERE each.run = found.run) AS found,
                   (SELECT count(*) FROM reconciliation_findings AS each
                     WHERE each.run = found.run AND repaired) AS repaired
              FROM reconciliations AS found
             WHERE $1::text IS NULL OR run = $1 ORDER BY started_at DESC LIMIT 1
            """,
            run,
        )
        if row is None:
            if run:
                raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND, "run", reason="RUN")
            raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND)
        return Reconciliation.model_validate(dict(row))

    async def findings(self, run: str, *, skip: int = 0, limit: int = 1000) -> list[ReportedFinding]:
        """Return the findings of a run: open findings first, then repaired findings."""
        self._check_operator()
        rows = await self._pool.fetch(
            """
            SELECT subscription_id, code, message, repaired, found_at FROM reconciliation_findings
             WHERE run = $1 ORDER BY repaired, code, subscription_id, message LIMIT $2 OFFSET $3
            """,
            run,
            limit,
            skip,
        )
        return [ReportedFinding.model_validate(dict(row)) for row in rows]
