"""Activity that writes a ledger adjustment once."""

from datetime import datetime
from typing import Any

from temporalio import activity

from adapters.postgres.pool import Connection, Pool
from subscription.adjustment import (
    Adjustment,
    AdjustmentApplied,
    AdjustmentInput,
    AdjustmentRefused,
    AdjustmentRequest,
    AdjustmentResult,
    adjustment_key,
    refusal_of,
)
from subscription.ledger import LineKey
from subscription.refusals import Refusal, RefusalCode


class LedgerAdjustmentActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def adjust_ledger(self, as_of: AdjustmentInput) -> AdjustmentResult:
        """Add a compensating line, or return the refusal. A repeated ID returns the original result."""
        request = as_of.wanted
        async with self._pool.acquire() as connection, connection.transaction():
            # Adjustments of one subscription serialize on this row lock, so that each sees the sum of all.
            await connection.execute(
                "SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", request.subscription_id
            )
            existing = await _existing(connection, request)
            if existing:
                return _original_result(request, existing)
            refusal = await _refusal(connection, request)
            if refusal:
                return AdjustmentRefused(refused=refusal)
            return AdjustmentApplied(
                adjustment=await insert_adjustment(connection, request, as_of.effective_at)
            )


async def _existing(connection: Connection, request: AdjustmentRequest) -> Adjustment | None:
    row = await connection.fetchrow(
        """
        SELECT line_key(subscription_id, line_kind, line_first_day) AS corrects, amount, reason, reference,
               effective_at
          FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2
        """,
        request.subscription_id,
        request.id,
    )
    return _adjustment(request, row) if row else None


def _original_result(
    request: AdjustmentRequest, existing: Adjustment
) -> AdjustmentApplied | AdjustmentRefused:
    same = (existing.corrects, existing.amount, existing.reason, existing.reference) == (
        request.key,
        request.amount,
        request.reason,
        request.reference,
    )
    if same:
        return AdjustmentApplied(adjustment=existing)
    return AdjustmentRefused(refused=Refusal.of(RefusalCode.ADJUSTMENT_ID_REUSED, "id"))


async def _refusal(connection: Connection, request: AdjustmentRequest) -> Refusal | None:
    row = await connection.fetchrow(
        """
        SELECT amount,
               (SELECT coalesce(sum(made.amount), 0)::bigint FROM ledger_adjustments AS made
                 WHERE (made.subscription_id, line_kind, line_first_day)
                       = (line.subscription_id, kind, first_day)) AS adjusted
          FROM line_of_key($2) AS line WHERE subscription_id = $1
        """,
        request.subscription_id,
        request.key,
    )
    if row is None:
        return Refusal.of(RefusalCode.LINE_NOT_FOUND, "key")
    return refusal_of(request, row["amount"], row["adjusted"])


async def insert_adjustment(
    connection: Connection, request: AdjustmentRequest, effective_at: datetime
) -> Adjustment:
    """Insert the adjustment with this effective time."""
    line = LineKey.of(request.key)
    row = await connection.fetchrow(
        """
        INSERT INTO ledger_adjustments
            (subscription_id, adjustment_id, customer_id, line_kind, line_first_day, amount, reason,
             reference, effective_at)
        SELECT subscription_id, $2, customer_id, $3, $4, $5, $6, $7, $8
          FROM subscriptions WHERE subscription_id = $1
        RETURNING line_key(subscription_id, line_kind, line_first_day) AS corrects, amount, reason, reference,
                  effective_at
        """,
        request.subscription_id,
        request.id,
        line.kind,
        line.first_day,
        request.amount,
        request.reason,
        request.reference,
        effective_at,
    )
    return _adjustment(request, row)


def _adjustment(request: AdjustmentRequest, row: Any) -> Adjustment:
    return Adjustment(
        key=adjustment_key(request.subscription_id, request.id),
        corrects=row["corrects"],
        amount=row["amount"],
        reason=row["reason"],
        reference=row["reference"],
        effective_at=row["effective_at"],
    )
