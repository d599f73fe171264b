"""Prorated amounts as whole parts of a KRW, rounded down once per ledger line (R20)."""

from datetime import date
from fractions import Fraction
from functools import lru_cache
from math import lcm

from subscription.business_calendar import days_in_month, split_by_month

PARTS_A_KRW = lcm(28, 29, 30, 31)
"""377,580: a day's share of any month is a whole number of these parts, so every amount is exact."""


def prorated_parts(price: int, members: int, first_day: date, end_day: date) -> int:
    """Return the cost of `members` in [first_day, end_day) at `price` KRW per member and month (R20).

    The result is in parts of a KRW.
    """
    return price * members * _parts_of_months(first_day, end_day)


# Cached, because all subscriptions are charged for the same month at its end.
@lru_cache(maxsize=1024)
def _parts_of_months(first_day: date, end_day: date) -> int:
    """Return the length of the period in parts of a month, where a partial month counts by its days."""
    return sum(
        (end - start).days * (PARTS_A_KRW // days_in_month(start.year, start.month))
        for start, end in split_by_month(first_day, end_day)
    )


def exact_krw(parts: int, percent: int = 100) -> Fraction:
    """Return a percentage of an amount in KRW."""
    return Fraction(parts * percent, PARTS_A_KRW * 100)


def round_down(parts: int, percent: int = 100) -> int:
    """Round a percentage of an amount down to whole KRW (R20). Amounts are never negative."""
    return parts * percent // (PARTS_A_KRW * 100)
