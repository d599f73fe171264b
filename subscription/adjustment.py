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
"""The largest amount of an entry that every reader of JSON reads exactly."""
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class AdjustmentReason(StrEnum):
    """Why; a closed list, for what stays after erasure must not name anybody."""

    WRONG_CHARGE = "WRONG_CHARGE"
    SERVICE_OUTAGE = "SERVICE_OUTAGE"
    GOODWILL = "GOODWILL"
    REVERSAL = "REVERSAL"
    """Takes an earlier adjustment back."""


class AdjustmentRequest(Wire):
    """Correct the line of this key by `amount` KRW before VAT: below zero gives money back.

    `id` names the adjustment: sent again under it, nothing is done twice. `reference` is a ticket's number.
    """

    subscription_id: Annotated[_Text, Field(max_length=100)]
    id: Reference
    key: _Text
    amount: Annotated[int, Field(ge=-MOST_KRW, le=MOST_KRW)]
    reason: Annotated[AdjustmentReason, Field(strict=False)]
    reference: Reference


class AdjustmentInput(Frozen):
    """An adjustment to be made, in effect from when its workflow was asked for it, however long it takes."""

    wanted: AdjustmentRequest
    effective_at: Instant


class Adjustment(Frozen):
    """A compensating line as the ledger shows it."""

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


AdjustmentResult = Annotated[AdjustmentApplied | AdjustmentRefused, Field(discriminator="outcome")]


def refusal_of(wanted: AdjustmentRequest, charged: int, adjusted: int) -> Refusal | None:
    """Return why a line cannot be adjusted so, or None.

    `charged` is the line's own amount, `adjusted` the sum of its adjustments until now. What is given back or
    added, at once and in all, is at most what the line charged. A reversal takes back earlier adjustments
    and no more: it has the opposite sign of their sum.
    """
    if wanted.amount == 0:
        return Refusal.of(RefusalCode.INVALID_VALUE, "amount", reason="ADJUSTED_BY_ZERO")
    if wanted.reason is AdjustmentReason.REVERSAL:
        after = adjusted + wanted.amount
        if wanted.amount * adjusted >= 0 or after * adjusted < 0:
            return Refusal.of(RefusalCode.REVERSED_TOO_MUCH, "amount", left=abs(adjusted))
        return None
    if adjusted + wanted.amount < -charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", left=charged + adjusted)
    if adjusted + wanted.amount > charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", reason="ADDED", left=charged - adjusted)
    if abs(wanted.amount) > charged:
        return Refusal.of(RefusalCode.ADJUSTED_TOO_MUCH, "amount", reason="AT_ONCE", left=charged)
    return None


def adjustment_key(subscription_id: str, adjustment_id: str) -> str:
    return f"{subscription_id}/ADJUSTMENT/{adjustment_id}"
