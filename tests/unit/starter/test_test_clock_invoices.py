"""The days on which the job `invoices` runs, between two times of a test clock."""

from datetime import date, datetime

import pytest

from starter.test_clock_invoices import days_of_job
from subscription.business_calendar import KST


@pytest.mark.parametrize(
    ("begin", "end", "days"),
    [
        ("2026-11-30 09:00", "2026-12-03 05:59", []),
        ("2026-11-30 09:00", "2026-12-03 06:00", ["2026-12-03"]),
        ("2026-12-03 06:00", "2027-02-02 23:59", ["2027-01-03"]),
        ("2026-12-02 09:00", "2027-02-28 00:00", ["2026-12-03", "2027-01-03", "2027-02-03"]),
        ("2027-01-10 09:00", "2027-01-10 09:00", []),
    ],
)
def test_job_runs_on_the_third_at_six(begin: str, end: str, days: list[str]) -> None:
    first, last = (datetime.fromisoformat(text).replace(tzinfo=KST) for text in (begin, end))
    assert [*days_of_job(first, last)] == [date.fromisoformat(day) for day in days]
