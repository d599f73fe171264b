"""Business dates: Korea Standard Time, half-open periods, month arithmetic with clamping (R18)."""

import calendar
import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from subscription.refusals import RefusalCode, validation_error

# A fixed offset, not a zone of the time zone database: a replay years later must see the same midnights.
KST = timezone(timedelta(hours=9), "KST")

# Every deadline that follows from a date between these years is still within the range of `datetime`.
YEARS = range(1000, 9901)
"""The years of all instants."""
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


# All subscriptions have deadlines at the same month ends, and months of the same bounds.
@lru_cache(maxsize=4096)
def start_of(day: date) -> datetime:
    """Return the instant at which a business date begins: 00:00 KST."""
    return datetime(day.year, day.month, day.day, tzinfo=KST)


def day_of(instant: datetime) -> date:
    """Return the business date of an instant."""
    return instant.astimezone(KST).date()


@lru_cache(maxsize=4096)
def add_months(day: date, months: int) -> date:
    """Return the same day `months` later, clamped to the month's length (R18: 31 Jan + 1 is 28 Feb)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, days_in_month(year, month + 1)))


@lru_cache(maxsize=4096)
def days_in_month(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def first_of_month(day: date) -> date:
    return day.replace(day=1)


@lru_cache(maxsize=4096)
def first_of_next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


@lru_cache(maxsize=1024)
def split_by_month(first_day: date, end_day: date) -> tuple[tuple[date, date], ...]:
    """Return the period [first_day, end_day) split at the first of every month, as half-open periods."""
    periods = []
    while first_day < end_day:
        cut = min(first_of_next_month(first_day), end_day)
        periods.append((first_day, cut))
        first_day = cut
    return tuple(periods)


def _read_instant(value: object) -> object:
    return _instant_of(value) if isinstance(value, str) else value


# An event and its lines have the same time, and all subscriptions are charged at the same month ends.
@lru_cache(maxsize=4096)
def _instant_of(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise validation_error(RefusalCode.INVALID_INSTANT) from None
    return _in_korea(value)


def _in_korea(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise validation_error(RefusalCode.INVALID_INSTANT, reason="NO_OFFSET")
    # Check before the conversion, which fails near `datetime.min` and `datetime.max`.
    if value.year not in YEARS:
        raise validation_error(RefusalCode.INVALID_INSTANT, reason="OUT_OF_RANGE")
    return value if value.tzinfo is KST else value.astimezone(KST)


def _read_date(value: object) -> object:
    return _date_of(value) if isinstance(value, str) else value


# The same dates stand in the documents of all subscriptions.
@lru_cache(maxsize=4096)
def _date_of(text: str) -> date:
    try:
        if _ISO_DATE.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise validation_error(RefusalCode.INVALID_DATE) from None


Instant = Annotated[datetime, BeforeValidator(_read_instant), AfterValidator(_in_korea)]
"""A time with a UTC offset, converted to KST and serialized in ISO 8601."""

Day = Annotated[date, BeforeValidator(_read_date)]
"""A business date; `2027-01-31` is the only accepted form."""
