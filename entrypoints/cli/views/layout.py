"""Rich tables that wrap instead of truncating."""

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.formatting import STATE_STYLES
from subscription.state import State


def styled_state(state: str) -> Text:
    return Text(state, style=STATE_STYLES.get(State(state), ""))


class BorderlessTable(Table):
    """A table without borders, with a rule below the header and an empty line above."""

    def __init__(self) -> None:
        super().__init__(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield ""
        yield from super().__rich_console__(console, options)


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = BorderlessTable()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


class BreakableIdentifier:
    """A NAME_WITH_UNDERSCORES that wraps only after underscores."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fits = cell_len(self._name) <= options.max_width
        yield Text(self._name if fits else self._name.replace("_", "_\n"), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        parts = self._name.replace("_", "_ ").split()
        return Measurement(max(map(cell_len, parts), default=0), cell_len(self._name))


class FirstThatFits:
    """Renders `wide` if it fits into the terminal, otherwise `narrow`."""

    def __init__(self, wide: RenderableType, narrow: RenderableType) -> None:
        self._wide = wide
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = Measurement.get(console, options.update(max_width=10_000), self._wide).maximum
        yield self._wide if needed <= options.max_width else self._narrow


class Indented:
    """Indented output. Lines longer than the terminal are not truncated."""

    def __init__(self, part: RenderableType, spaces: int = 2) -> None:
        self._part = part
        self._margin = Segment(" " * spaces)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inside = options.update_width(options.max_width - self._margin.cell_length)
        for line in Segment.split_lines(console.render(self._part, inside)):
            if any(part.text for part in line):
                yield self._margin
                yield from line
            yield Segment.line()
