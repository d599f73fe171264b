"""`worksub demo`."""

import typer

from starter.cli.embedded import run_on_own_servers
from starter.cli.options import AsJson
from starter.cli.output import console, show_json

app = typer.Typer()


@app.command(rich_help_panel="Start here")
def demo(as_json: AsJson = False) -> None:
    """A subscription's whole life on real servers, in well under a minute; nothing of it stays."""

    async def main() -> None:
        from starter.demo import run_demo

        summary = await run_demo(console(stderr=as_json))
        if as_json:
            show_json(summary)

    run_on_own_servers(main)
