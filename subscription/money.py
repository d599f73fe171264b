"""Prorated amounts as exact fractions of KRW, rounded down once per ledger line (R20)."""

from datetime import date
from fractions import Fraction
from functools import lru_cache

from subscription.business_calendar import days_in_month, split_by_month


def prorated_amount(price: int, members: int, first_day: date, end_day: date) -> Fraction:
    """What `members` cost from `first_day` up to `end_day` at `price` KRW a member a month (R20)."""
    return price * members * _months(first_day, end_day)


# Kept, because everybody is charged for the same month at its end.
@lru_cache(maxsize=1024)
def _months(first_day: date, end_day: date) -> Fraction:
    """The period in calendar months, of each the part of its days that lies within."""
    return sum(
        (
            Fraction((end - start).days, days_in_month(start.year, start.month))
            for start, end in split_by_month(first_day, end_day)
        ),
        start=Fraction(0),
    )


def round_down(exact: Fraction) -> int:
    """Whole KRW of a ledger line (R20). No amount here is below zero."""
    return exact.numerator // exact.denominator
