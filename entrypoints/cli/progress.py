"""Progress bars."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


@contextmanager
def clock_progress(
    console: Console, begin: datetime, target: datetime
) -> Iterator[Callable[[datetime], None]]:
    """Show a progress bar; yield a function to call with the current time of the clock."""
    columns = (
        TextColumn("{task.fields[shows]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=(target - begin).total_seconds(), shows=f"{begin:%Y-%m-%d}")

        def on_progress(now: datetime) -> None:
            local = now.astimezone(begin.tzinfo)
            progress.update(task, completed=(now - begin).total_seconds(), shows=f"{local:%Y-%m-%d}")

        yield on_progress


@contextmanager
def count_progress(console: Console, label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yield a function to call with the number of finished and of all items."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
