"""Findings of a reconciliation run, stored as they are found."""

from collections.abc import Iterable, Sequence

from adapters.postgres.pool import Pool
from subscription.reconciliation import Finding, FindingCode, ReconcileReport, report_of


class Report:
    def __init__(self, pool: Pool, run: str) -> None:
        self._pool = pool
        self.run = run

    async def begin(self) -> None:
        await self._pool.execute(
            "INSERT INTO reconciliations (run) VALUES ($1) ON CONFLICT DO NOTHING", self.run
        )

    async def add(self, finding: Finding) -> None:
        """Store a finding before its repair; an interrupted attempt would otherwise repair unreported."""
        await self._pool.execute(
            """
            INSERT INTO reconciliation_findings (run, subscription_id, code, message, repaired)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
            """,
            self.run,
            finding.subscription_id,
            finding.code,
            finding.message,
            finding.repaired,
        )

    async def mark_repaired(self, finding: Finding) -> None:
        await self._pool.execute(
            """
            UPDATE reconciliation_findings SET repaired = true
             WHERE run = $1 AND subscription_id IS NOT DISTINCT FROM $2 AND code = $3 AND message = $4
            """,
            self.run,
            finding.subscription_id,
            finding.code,
            finding.message,
        )

    async def ids_with_open_findings(self, ids: Sequence[str]) -> set[str]:
        """Return the IDs of the subscriptions with open findings of earlier runs."""
        rows = await self._pool.fetch(
            """
            SELECT DISTINCT subscription_id FROM reconciliation_findings
             WHERE subscription_id = ANY($1) AND NOT repaired AND resolved_at IS NULL
            """,
            ids,
        )
        return {row["subscription_id"] for row in rows}

    async def close(self, subscription_id: str, still_open: Iterable[Finding]) -> None:
        """Close findings of this subscription that are no longer open.

        A finding of this run counts as repaired, one of an earlier run as resolved.
        """
        await self._pool.execute(
            """
            UPDATE reconciliation_findings
               SET repaired = run = $1, resolved_at = CASE WHEN run <> $1 THEN clock_timestamp() END
             WHERE subscription_id = $2 AND NOT repaired AND resolved_at IS NULL AND code <> ALL($3)
            """,
            self.run,
            subscription_id,
            sorted({finding.code for finding in still_open}),
        )

    async def finish(self, checked: int, queried: int, finished_by: str | None) -> ReconcileReport:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """
                UPDATE reconciliations
                   SET finished_at = clock_timestamp(), checked = $2, queried = $3, finished_by = $4
                 WHERE run = $1 AND finished_at IS NULL
                """,
                *(self.run, checked, queried, finished_by),
            )
            rows = await connection.fetch(
                """
                SELECT code, count(*) AS found, count(*) FILTER (WHERE repaired) AS repaired
                  FROM reconciliation_findings WHERE run = $1 GROUP BY code ORDER BY code
                """,
                self.run,
            )
        counts = {FindingCode(row["code"]): row["found"] for row in rows}
        return report_of(self.run, checked, queried, counts, sum(row["repaired"] for row in rows))
