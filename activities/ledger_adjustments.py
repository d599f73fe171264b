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
from subscription.refusals import Refusal, RefusalCode


class LedgerAdjustmentActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def adjust_ledger(self, as_of: AdjustmentInput) -> AdjustmentResult:
        """Add a compensating line, or say why not; sent again it gives the first answer again."""
        wanted = as_of.wanted
        async with self._pool.acquire() as connection, connection.transaction():
            # Adjustments of one subscription queue up here, so that their sums can be looked at.
            await connection.execute(
                "SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", wanted.subscription_id
            )
            earlier = await _earlier(connection, wanted)
            if earlier:
                return _first_answer(wanted, earlier)
            refused = await _refused(connection, wanted)
            if refused:
                return AdjustmentRefused(refused=refused)
            return AdjustmentApplied(
                adjustment=await insert_adjustment(connection, wanted, as_of.effective_at)
            )


async def _earlier(connection: Connection, wanted: AdjustmentRequest) -> Adjustment | None:
    row = await connection.fetchrow(
        """
        SELECT line_key, amount, reason, reference, effective_at
          FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2
        """,
        wanted.subscription_id,
        wanted.id,
    )
    return _adjustment(wanted, row) if row else None


def _first_answer(wanted: AdjustmentRequest, earlier: Adjustment) -> AdjustmentApplied | AdjustmentRefused:
    same = (earlier.corrects, earlier.amount, earlier.reason, earlier.reference) == (
        wanted.key,
        wanted.amount,
        wanted.reason,
        wanted.reference,
    )
    if same:
        return AdjustmentApplied(adjustment=earlier)
    return AdjustmentRefused(refused=Refusal.of(RefusalCode.ADJUSTMENT_ID_REUSED, "id"))


async def _refused(connection: Connection, wanted: AdjustmentRequest) -> Refusal | None:
    charged = await connection.fetchval(
        "SELECT amount FROM ledger_lines WHERE subscription_id = $1 AND key = $2",
        wanted.subscription_id,
        wanted.key,
    )
    if charged is None:
        return Refusal.of(RefusalCode.LINE_NOT_FOUND, "key")
    adjusted = await connection.fetchval(
        "SELECT coalesce(sum(amount), 0)::bigint FROM ledger_adjustments WHERE line_key = $1", wanted.key
    )
    return refusal_of(wanted, charged, adjusted)


async def insert_adjustment(
    connection: Connection, wanted: AdjustmentRequest, effective_at: datetime
) -> Adjustment:
    """Add the line, in effect from that moment on."""
    row = await connection.fetchrow(
        """
        INSERT INTO ledger_adjustments
            (subscription_id, adjustment_id, customer_id, line_key, amount, reason, reference, effective_at)
        SELECT subscription_id, $2, customer_id, $3, $4, $5, $6, $7
          FROM subscriptions WHERE subscription_id = $1
        RETURNING line_key, amount, reason, reference, effective_at
        """,
        wanted.subscription_id,
        wanted.id,
        wanted.key,
        wanted.amount,
        wanted.reason,
        wanted.reference,
        effective_at,
    )
    return _adjustment(wanted, row)


def _adjustment(wanted: AdjustmentRequest, row: Any) -> Adjustment:
    return Adjustment(
        key=adjustment_key(wanted.subscription_id, wanted.id),
        corrects=row["line_key"],
        amount=row["amount"],
        reason=row["reason"],
        reference=row["reference"],
        effective_at=row["effective_at"],
    )
