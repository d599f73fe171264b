"""Output files of commands, complete or not at all."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import typer

from entrypoints.cli.errors import CommandError, ExitCode, usage_error

STANDARD_OUTPUT = Path("-")


@contextlib.contextmanager
def output_file(to: Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """Yield the output. A file gets its name when it is complete, so no part of it is left behind."""
    if to == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        with write_errors(to):
            sys.stdout.buffer.flush()
        return
    if to.exists() and not to.is_file():  # a pipe or a device
        with write_errors(to):
            output = to.open("wb")
        with output:
            yield output
        return
    import tempfile

    with write_errors(to):
        # Readable by this user only: an export has personal data.
        descriptor, name = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            with write_errors(to):
                file.flush()
                os.fsync(file.fileno())
        if to.exists() and not replace:
            raise already_exists(to)
        with write_errors(to):
            unfinished.replace(to)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def write_errors(to: Path) -> Iterator[None]:
    """Convert an error of the file, which would otherwise look like an error of the connection.

    The reader of a pipe may close it early; that is no error.
    """
    try:
        yield
    except BrokenPipeError:
        raise typer.Exit(ExitCode.CUT_OFF) from None
    except OSError as error:
        raise usage_error(f"{to} cannot be written: {error.strerror}.", field="to") from None


def already_exists(to: Path) -> CommandError:
    return usage_error(f"{to} already exists.", field="to", advice="To replace it, add --force.")
