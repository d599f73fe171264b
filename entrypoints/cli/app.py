"""The `worksub` application: its commands, and the exit code of each outcome."""

import errno
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from adapters.temporal.encryption_keys import EncryptionSettingsError
from entrypoints.cli import (
    api_keys,
    billing,
    clock,
    codec,
    notices,
    reconciliation,
    replay,
    request,
    schedules,
    search,
    service_commands,
    simulate,
    subscription_commands,
    subscription_queries,
    webhooks,
)
from entrypoints.cli.errors import CommandError, ExitCode
from entrypoints.cli.help import Panels
from entrypoints.cli.output import (
    discard_stdout,
    is_output_error,
    print_status,
    reopen_closed_streams,
    show_error,
)

app = typer.Typer(
    name="worksub",
    cls=Panels,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"worksub {version('worksub')}")
        raise typer.Exit


@app.callback()
def worksub(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """NAVER WORKS subscriptions, from the request to the erasure."""


for part in (
    service_commands,
    replay,
    request,
    subscription_commands,
    subscription_queries,
    search,
    billing,
    clock,
    simulate,
):
    app.add_typer(part.app)
app.add_typer(api_keys.app, name="keys", rich_help_panel=api_keys.PANEL)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=webhooks.PANEL)
app.add_typer(notices.app, name="notices", rich_help_panel=notices.PANEL)
app.add_typer(schedules.app, name="schedules", rich_help_panel=schedules.PANEL)
app.add_typer(codec.app, name="codec", rich_help_panel=codec.PANEL)
app.add_typer(reconciliation.app)


def main() -> None:
    """The entry point of the console script."""
    reopen_closed_streams()
    code = run(sys.argv[1:])
    # It is over, and what is pressed now changes nothing of how it ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command; the exit code says how it ended."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except OSError as error:  # of the output alone: every other one has been put into words
        discard_stdout()
        if error.errno == errno.EPIPE:
            return ExitCode.CUT_OFF
        print_status(f"Error: the answer cannot be written: {error.strerror}.")
        return ExitCode.UNAVAILABLE
    return code


def _run(arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = app(list(arguments) or ["--help"], prog_name="worksub", standalone_mode=False)
    except CommandError as error:
        show_error(as_json, error)
        return error.exit_code
    except typer.TyperException as error:
        show_error(as_json, _misused(error))
        return ExitCode.USAGE
    except EncryptionSettingsError as error:
        show_error(as_json, CommandError(ExitCode.USAGE, "SETTINGS", str(error)))
        return ExitCode.USAGE
    except typer.Abort:  # Ctrl-D; Ctrl-C comes back as the exit code
        result = ExitCode.INTERRUPTED
    except SystemExit:  # only typer's own way to say that nobody reads on
        return ExitCode.CUT_OFF
    except Exception as error:
        if isinstance(error, OSError) and is_output_error(error):
            raise
        show_error(as_json, _fault(error))
        return ExitCode.FAULT
    if result == ExitCode.INTERRUPTED:
        print_status("\nInterrupted.")
    return int(result or ExitCode.DONE)


def _misused(error: typer.TyperException) -> CommandError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "worksub"
    parameter = getattr(error, "param", None)
    return CommandError(
        ExitCode.USAGE,
        "USAGE",
        _in_our_words(error.format_message()),
        field=parameter.name if parameter else None,
        advice=f"`{command} --help` says how it is used.",
    )


def _in_our_words(message: str) -> str:
    """What is said of an option's value, without the words of the library that has read it."""
    for theirs, ours in (
        (": Value error, ", ": "),
        (": Input should be ", ": it must be "),
        ("a valid integer, unable to parse string as an integer", "a whole number"),
    ):
        message = message.replace(theirs, ours)
    return message


def _fault(error: Exception) -> CommandError:
    """What nobody has foreseen: where it happened, for a report, without the values that were there."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return CommandError(
        ExitCode.FAULT,
        "FAULT",
        f"An unexpected {type(error).__name__} at {frame.filename}, line {frame.lineno}: {error}",
        advice="This is a fault of worksub: please report it, with this message.",
    )
