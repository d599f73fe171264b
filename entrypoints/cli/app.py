"""The `worksub` application: its commands, and the exit code of each outcome."""

import errno
import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from adapters.settings_error import SettingsError
from entrypoints.cli.errors import CommandError, ExitCode
from entrypoints.cli.help import Panels
from entrypoints.cli.output import (
    discard_stdout,
    is_output_error,
    print_status,
    reopen_closed_streams,
    show_error,
)
from entrypoints.cli.parts import PARTS, parts_for

_COMPLETION: Final = "_WORKSUB_COMPLETE"
"""Set by the shell while it completes a command; the arguments are then in another variable."""


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"worksub {version('worksub')}")
        raise typer.Exit


def _worksub(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Manage NAVER WORKS subscriptions."""


def create_app(parts: Iterable[str] = PARTS) -> typer.Typer:
    """Return the application with the commands of these modules."""
    app = typer.Typer(
        name="worksub",
        cls=Panels,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        callback=_worksub,
    )
    for part in parts:
        module = import_module(f"entrypoints.cli.{part}")
        if panel := getattr(module, "PANEL", None):
            app.add_typer(module.app, name=PARTS[part][0], rich_help_panel=panel)
        else:
            app.add_typer(module.app)
    return app


def main() -> None:
    """Run the `worksub` console script."""
    reopen_closed_streams()
    code = run(sys.argv[1:])
    # The command has finished: Ctrl-C during interpreter shutdown must not change its exit code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The interpreter would otherwise search all modules for garbage twice while it ends.
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Execute one command and return its exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except OSError as error:  # only from writing the output: all other errors were converted to CommandError
        discard_stdout()
        if error.errno == errno.EPIPE:
            return ExitCode.CUT_OFF
        print_status(f"Error: the output cannot be written: {error.strerror}.")
        return ExitCode.UNAVAILABLE
    return code


def _run(arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    try:
        app = create_app(PARTS if _COMPLETION in os.environ else parts_for(arguments))
        result = app(list(arguments) or ["--help"], prog_name="worksub", standalone_mode=False)
    except CommandError as error:
        show_error(as_json, error)
        return error.exit_code
    except typer.TyperException as error:
        show_error(as_json, _usage_error(error))
        return ExitCode.USAGE
    except SettingsError as error:
        show_error(as_json, CommandError(ExitCode.USAGE, "SETTINGS", str(error)))
        return ExitCode.USAGE
    except typer.Abort:  # Ctrl-D; Typer returns Ctrl-C as an exit code
        result = ExitCode.INTERRUPTED
    except SystemExit:  # raised by Typer only for a closed output pipe (EPIPE)
        return ExitCode.CUT_OFF
    except Exception as error:
        if isinstance(error, OSError) and is_output_error(error):
            raise
        show_error(as_json, _unexpected_error(error))
        return ExitCode.INTERNAL_ERROR
    if result == ExitCode.INTERRUPTED:
        print_status("\nInterrupted.")
    return int(result or ExitCode.DONE)


def _usage_error(error: typer.TyperException) -> CommandError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "worksub"
    parameter = getattr(error, "param", None)
    return CommandError(
        ExitCode.USAGE,
        "USAGE",
        _without_pydantic_wording(error.format_message()),
        field=parameter.name if parameter else None,
        advice=f"For usage, see `{command} --help`.",
    )


def _without_pydantic_wording(message: str) -> str:
    """Return the message about an option's value without the prefixes that pydantic adds."""
    for pydantic_text, replacement in (
        (": Value error, ", ": "),
        (": Input should be ", ": it must be "),
        ("a valid integer, unable to parse string as an integer", "a whole number"),
    ):
        message = message.replace(pydantic_text, replacement)
    return message


def _unexpected_error(error: Exception) -> CommandError:
    """Return a bug report: the exception and its source line, without local variables."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return CommandError(
        ExitCode.INTERNAL_ERROR,
        "INTERNAL_ERROR",
        f"Unexpected {type(error).__name__} at {frame.filename}, line {frame.lineno}: {error}",
        advice="This is a bug in worksub. Please report it with this message.",
    )
