"""Progress to look at while a subscription's clock moves. It shows only where there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


@contextmanager
def clock_progress(
    console: Console, begin: datetime, target: datetime
) -> Iterator[Callable[[datetime], bool]]:
    """What it yields is told what the clock shows, and says whether the clock has moved since."""
    columns = (
        TextColumn("{task.fields[shows]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    shown = begin
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=(target - begin).total_seconds(), shows=f"{begin:%Y-%m-%d}")

        def passed(now: datetime) -> bool:
            nonlocal shown
            moved, shown = now > shown, max(now, shown)
            here = shown.astimezone(begin.tzinfo)
            progress.update(task, completed=(shown - begin).total_seconds(), shows=f"{here:%Y-%m-%d}")
            return moved

        yield passed
