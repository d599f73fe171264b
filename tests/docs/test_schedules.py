"""docs/scheduled-jobs.md lists every job with its time, every finding and every retention period."""

from support.markdown_pages import page, tables

from activities.retention import RETENTIONS
from starter.schedules import JOBS
from subscription.reconciliation import GRACE_MINUTES, FindingCode

TEXT = page("docs/scheduled-jobs.md")


def test_every_job_is_listed_with_its_time() -> None:
    [listed] = [table for table in tables(TEXT) if table.header[0] == "job"]
    assert listed.rows == tuple((job.name, job.times, job.note) for job in JOBS)


def test_every_finding_is_explained_once() -> None:
    [explained] = [table for table in tables(TEXT) if table.header[0] == "finding"]
    assert explained.header == ("finding", "meaning", "repaired", "what to do")
    assert explained.column("finding") == [code.value for code in FindingCode]
    assert all(cell for row in explained.rows for cell in row)


def test_every_retention_is_listed() -> None:
    [kept] = [table for table in tables(TEXT) if table.header == ("what", "kept")]
    [histories, *rows] = kept.rows
    assert histories[1] == f"{GRACE_MINUTES} minutes"
    assert [(row[0].split("`")[0], row[1]) for row in rows] == [
        (each.table, f"{each.kept.days} days") for each in RETENTIONS
    ]
