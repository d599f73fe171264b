"""`worksub demo`."""

from typing import TYPE_CHECKING

import typer

from starter.cli.embedded import run_on_own_servers
from starter.cli.errors import CommandError, ExitCode
from starter.cli.operations import catalogue_from_environment
from starter.cli.options import AsJson
from starter.cli.output import console, show_json

if TYPE_CHECKING:
    from starter.demo import Summary

app = typer.Typer()


@app.command(rich_help_panel="Start here")
def demo(as_json: AsJson = False) -> None:
    """A subscription's whole life on real servers, in well under a minute; nothing of it stays."""

    catalogue = catalogue_from_environment()

    async def main() -> "Summary":
        from starter.demo import run_demo

        return await run_demo(console(stderr=as_json), catalogue)

    summary = run_on_own_servers(main)
    if as_json:
        show_json(summary)
    if not summary.nothing_is_left:
        raise CommandError(
            ExitCode.FAULT, "DATA_LEFT", "Something of the customer is left after the erasure."
        )
