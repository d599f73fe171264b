"""Ledger adjustments: compensating lines that correct a charge without editing it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from subscription.business_calendar import Instant
from subscription.ledger import LineKey
from subscription.model import Frozen, Wire
from subscription.refusals import Refusal, RefusalCode
from subscription.validation import require_storable

_Text = Annotated[str, Field(max_length=200), AfterValidator(require_storable)]
MOST_KRW = 2**53 - 1
"""The largest amount that every JSON parser reads exactly."""
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class AdjustmentReason(StrEnum):
    """The reason of an adjustment. It is kept after erasure: a closed list cannot contain personal data."""

    WRONG_CHARGE = "WRONG_CHARGE"
    SERVICE_OUTAGE = "SERVICE_OUTAGE"
    GOODWILL = "GOODWILL"
    REVERSAL = "REVERSAL"
    """Reverses an earlier adjustment."""


class AdjustmentRequest(Wire):
    """Correct the line of this key by `amount` KRW before VAT; a negative amount is a credit.

    `id` is the idempotency key: repeating a request with the same ID has no effect. `reference` is a ticket
    number.
    """

    subscription_id: Annotated[_Text, Field(max_length=100)]
    id: Reference
    key: _Text
    amount: Annotated[int, Field(ge=-MOST_KRW, le=MOST_KRW)]
    reason: Annotated[AdjustmentReason, Field(strict=False)]
    reference: Reference


class AdjustmentInput(Frozen):
    """An adjustment to apply. It takes effect at the time at which its workflow was requested."""

    wanted: AdjustmentRequest
    effective_at: Instant


class Adjustment(Frozen):
    """A compensating line of the ledger."""

    kind: Literal["ADJUSTMENT"] = "ADJUSTMENT"
    key: str
    corrects: str
    amount: int
    reason: AdjustmentReason
    reference: str
    effective_at: Instant

    @property
    def corrected(self) -> LineKey:
        return LineKey.of(self.corrects)


class AdjustmentApplied(Frozen):
    outcome: Literal["ADJUSTED"] = "ADJUSTED"
    adjustment: Adjustment


class AdjustmentRefused(Frozen):
    outcome: Literal["REFUSED"] = "REFUSED"
    refused: Refusal


AdjustmentResult = AdjustmentApplied | AdjustmentRefused


def refusal_of(request: AdjustmentRequest, charged: int, adjusted: int) -> Refusal | None:
    """Return why the line cannot be adjusted as requested, or None.

    `charged` is the line's own amount; `adjusted` is the sum of its earlier adjustments. A credit or a
    surcharge is at most the amount of the line, for each adjustment and in total. A reversal undoes earlier
    adjustments only: it has the opposite sign of their sum and is not larger.
    """
    if request.amount == 0:
        return Refusal.of(RefusalCode.INVALID_VALUE, "amount", reason="ADJUSTED_BY_ZERO")
    if request.reason is AdjustmentReason.REVERSAL:
        after = adjusted + request.amount
        if request.amount * adjusted >= 0 or after * adjusted < 0:
            return Refusal.of(RefusalCode.REVERSED_TOO_MUCH, "amount", left=abs(adjusted))
        return None
    if adjusted + request.amount < -charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", left=charged + adjusted)
    if adjusted + request.amount > charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", reason="ADDED", left=charged - adjusted)
    if abs(request.amount) > charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", reason="AT_ONCE", left=charged)
    return None


def adjustment_key(subscription_id: str, adjustment_id: str) -> str:
    return f"{subscription_id}/ADJUSTMENT/{adjustment_id}"
