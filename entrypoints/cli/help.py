"""Help output grouped by panel, without importing Rich.

`python -m entrypoints.cli.help > entrypoints/cli/help.txt` generates the help that `worksub --help` prints.
"""

from collections import defaultdict
from typing import Any

from typer.core import TyperGroup

_MAX_HELP_LENGTH = 1000
"""Longer than any help text, so that texts are not truncated."""


class Panels(TyperGroup):
    """Typer group that lists its commands by `rich_help_panel` without importing Rich."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None)
            panels[panel or "Commands"].append((name, command.get_short_help_str(_MAX_HELP_LENGTH)))
        width = max(len(name) for name in self.commands)
        for panel, commands in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), sentence) for name, sentence in commands])


if __name__ == "__main__":
    import os

    from entrypoints.cli.app import run

    os.environ["COLUMNS"] = "80"
    run(["--help"])
