"""Prorated amounts as exact fractions of KRW, rounded down once per ledger line (R20)."""

from datetime import date
from fractions import Fraction
from functools import lru_cache

from subscription.business_calendar import days_in_month, split_by_month


def prorated_amount(price: int, members: int, first_day: date, end_day: date) -> Fraction:
    """Return the cost of `members` in [first_day, end_day) at `price` KRW per member and month (R20)."""
    return price * members * _months(first_day, end_day)


# Cached, because all subscriptions are charged for the same month at its end.
@lru_cache(maxsize=1024)
def _months(first_day: date, end_day: date) -> Fraction:
    """Return the length of the period in calendar months, where a partial month counts by its days."""
    return sum(
        (
            Fraction((end - start).days, days_in_month(start.year, start.month))
            for start, end in split_by_month(first_day, end_day)
        ),
        start=Fraction(0),
    )


def round_down(exact: Fraction) -> int:
    """Round the exact amount of a ledger line down to whole KRW (R20). Amounts are never negative."""
    return exact.numerator // exact.denominator
