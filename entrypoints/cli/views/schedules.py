"""View of scheduled jobs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from entrypoints.cli.views.formatting import NONE
from entrypoints.cli.views.layout import new_table

if TYPE_CHECKING:
    from starter.schedules import ScheduleStatus


def schedules_table(schedules: "Iterable[ScheduleStatus]") -> Table:
    table = new_table("Job", "Runs", "Next (KST)", "Last run", "Result")
    for schedule in schedules:
        if not schedule.applied:
            next_run = "not applied yet"
        elif schedule.paused:
            next_run = f"paused: {schedule.pause_note}"
        else:
            next_run = f"{schedule.next_run_at:%Y-%m-%d %H:%M}" if schedule.next_run_at else NONE
        run = schedule.last_run
        status, summary = (run.status, run.summary or "") if run else (NONE, "")
        table.add_row(schedule.name, schedule.times, next_run, status, summary)
    return table
