"""Limits of adjustments: at most the ledger line; reversals at most the amount adjusted before."""

import pytest

from subscription.adjustment import MOST_KRW, AdjustmentReason, AdjustmentRequest, refusal_of
from subscription.refusals import RefusalCode
from subscription.validation import parse_strict


def adjustment_of(amount: int, reason: str = "WRONG_CHARGE") -> AdjustmentRequest:
    fields = {"subscription_id": "s", "id": "T-1", "key": "s/SERVICE_FEE/2026-03-01", "reference": "T-1"}
    return parse_strict(AdjustmentRequest, {**fields, "amount": amount, "reason": reason})


def refusal_and_limit(
    amount: int, *, adjusted: int = 0, reason: str = "WRONG_CHARGE"
) -> tuple[str, object] | None:
    """Return the refusal key and the allowed amount for an adjustment of a line of 100 KRW."""
    refused = refusal_of(adjustment_of(amount, reason), 100, adjusted)
    return (refused.key, refused.parameters.get("left")) if refused else None


@pytest.mark.parametrize("reason", [each for each in AdjustmentReason if each != "REVERSAL"])
def test_adjustment_is_bounded_by_the_charge(reason: str) -> None:
    for possible in (-100, -1, 1, 100):
        assert refusal_and_limit(possible, reason=reason) is None
    assert refusal_and_limit(-101, reason=reason) == ("ADJUSTED_TOO_MUCH", 100)
    assert refusal_and_limit(101, reason=reason) == ("ADJUSTED_TOO_MUCH.ADDED", 100)
    assert refusal_and_limit(-71, adjusted=-30, reason=reason) == ("ADJUSTED_TOO_MUCH", 70)
    assert refusal_and_limit(71, adjusted=30, reason=reason) == ("ADJUSTED_TOO_MUCH.ADDED", 70)
    assert refusal_and_limit(150, adjusted=-100, reason=reason) == ("ADJUSTED_TOO_MUCH.AT_ONCE", 100)
    assert refusal_and_limit(MOST_KRW, reason=reason) == ("ADJUSTED_TOO_MUCH.ADDED", 100)


def test_reversal_is_bounded_by_the_adjustment() -> None:
    assert refusal_and_limit(30, adjusted=-30, reason="REVERSAL") is None
    assert refusal_and_limit(-10, adjusted=30, reason="REVERSAL") is None
    assert refusal_and_limit(100, reason="REVERSAL") == ("REVERSED_TOO_MUCH", 0)
    assert refusal_and_limit(-100, reason="REVERSAL") == ("REVERSED_TOO_MUCH", 0)
    assert refusal_and_limit(31, adjusted=-30, reason="REVERSAL") == ("REVERSED_TOO_MUCH", 30)
    assert refusal_and_limit(-1, adjusted=-30, reason="REVERSAL") == ("REVERSED_TOO_MUCH", 30)


def test_zero_adjustment_is_refused() -> None:
    assert refusal_and_limit(0) == (f"{RefusalCode.INVALID_VALUE}.ADJUSTED_BY_ZERO", None)
