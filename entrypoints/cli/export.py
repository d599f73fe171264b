"""The command `worksub export`: an archive of all data of a subscription (R37)."""

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.errors import unavailable, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, SubscriptionId, Timeout
from entrypoints.cli.output import print_status, show_json
from entrypoints.cli.output_file import STANDARD_OUTPUT, already_exists, output_file, write_errors
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from starter.exports import SubscriptionExports

app = typer.Typer()


@app.command(rich_help_panel="Query a subscription")
def export(
    subscription_id: SubscriptionId,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", help="The zip file to write; - for standard output."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Write all data of a subscription to a zip file, before its erasure."""
    _check_target(to, force=force, as_json=as_json)
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        with output_file(to, replace=force) as output:
            size, sha256 = session.run_exports(
                lambda exports: _write(exports, subscription_id, to, output, session.reset_timeout)
            )
    if as_json:
        show_json({"subscription_id": subscription_id, "path": str(to), "bytes": size, "sha256": sha256})
    else:
        print_status(f"Exported {subscription_id} to {to}: {size:,} bytes, SHA-256 {sha256}.")


async def _write(
    exports: "SubscriptionExports",
    subscription_id: str,
    to: Path,
    output: IO[bytes],
    report: Callable[[str], None],
) -> tuple[int, str]:
    """Write the archive; return its size and its SHA-256."""
    import hashlib

    from starter.exports import ExportTimeoutError

    size, digest = 0, hashlib.sha256()
    pieces: AsyncGenerator[bytes]
    async with contextlib.aclosing(exports.archive(subscription_id)) as pieces:
        try:
            async for piece in pieces:
                with write_errors(to):
                    output.write(piece)
                size += len(piece)
                digest.update(piece)
                report(f"{size:,} bytes written…")
        except ExportTimeoutError as error:
            raise unavailable("EXPORT_TOO_SLOW", str(error)) from None
    return size, digest.hexdigest()


def _check_target(to: Path, *, force: bool, as_json: bool) -> None:
    """Raise `CommandError` if the archive cannot be written there, before connecting to a server."""
    if to == STANDARD_OUTPUT:
        if as_json:
            raise usage_error("--json and --to - both write to standard output.", field="to")
        if sys.stdout.isatty():
            raise usage_error("A zip file cannot be written to a terminal.", field="to")
    elif to.is_dir():
        raise usage_error(f"{to} is a directory. Specify a file.", field="to")
    elif to.exists() and not force:
        raise already_exists(to)
