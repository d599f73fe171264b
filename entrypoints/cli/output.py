"""Output: results to standard output, progress to standard error."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from entrypoints.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MIN_WIDTH = 80
"""Minimum number of columns, also in narrower terminals."""

# Piped output has no terminal width, so views use this width instead of Rich's default of 80 columns.
_WIDTH_WITHOUT_TERMINAL = 160


def console(*, stderr: bool = False) -> "Console":
    """Return a Rich console without markup, so that customer data is never interpreted as markup."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    result = Console(stderr=stderr, width=width, markup=False, highlight=False)
    result.width = max(result.width, MIN_WIDTH)
    return result


def text_width() -> int:
    """Return the number of columns for a view that is text."""
    if not sys.stdout.isatty():
        return _WIDTH_WITHOUT_TERMINAL
    return max(MIN_WIDTH, shutil.get_terminal_size().columns)


def show(as_json: bool, document: Any, render: "Callable[[], RenderableType]") -> None:
    """Print the result of a command: `document` as one line of JSON, or the view of `render`.

    A view that is text is printed without Rich, whose import takes longer than a short command.
    """
    if as_json:
        show_json(document)
    elif isinstance(view := render(), str):
        show_text(view)
    else:
        console().print(view, crop=False)


def show_text(text: str) -> None:
    """Print text with styles of `typer.style`, which are removed unless a terminal shows them."""
    import typer

    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    typer.echo(text, color=False if plain else None)


def show_json(document: Any) -> None:
    text = json.dumps(_to_json(document), ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # the output is not UTF-8, or a file name has undecodable bytes
        text = json.dumps(_to_json(document))
    print(text, flush=True)


def print_status(message: str) -> None:
    """Print a progress or error message to standard error, never to standard output.

    Control characters are escaped, because the message may repeat a file name or an option.
    """
    print("".join(map(_escape, message)), file=sys.stderr, flush=True)


def _escape(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def reopen_closed_streams() -> None:
    """Replace standard streams that the caller closed (None in `sys`) by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def is_output_error(error: OSError) -> bool:
    """Return whether the reader closed the pipe (`| head -1`) or the disk of the output is full."""
    return error.errno in (errno.EPIPE, errno.ENOSPC)


def discard_stdout() -> None:
    """Redirect standard output to the null device; otherwise the interpreter's flush at exit fails."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, sys.stdout.fileno())
    os.close(null_device)


def prompt(question: str) -> str:
    """Print a question to standard error and return the line typed at the terminal."""
    print(question, end="", file=sys.stderr, flush=True)
    return input()


def show_error(as_json: bool, error: CommandError) -> None:
    if as_json:
        show_json(error.to_json())
        return
    place = f" in {error.field}" if error.field and not error.problems else ""
    lines = [f"Error{place}: {_headline(error)}", *map(_problem_line, error.problems)]
    if error.advice:
        lines.append(error.advice)
    print_status("\n".join(lines))


def _headline(error: CommandError) -> str:
    """Return the first line of an error. The message of a refusal repeats its problems, so it is replaced."""
    if error.problems and error.exit_code is ExitCode.REFUSED:
        return "refused; nothing has changed:"
    return error.message


def _problem_line(problem: Mapping[str, Any]) -> str:
    field = f"{problem['field']}: " if problem["field"] else ""
    if "file" not in problem:
        return f"  {field}{problem['message']}"
    line = f", line {problem['line']}" if problem["line"] else ""
    return f"  {problem['file']}{line}: {field}{problem['message']}"


def _to_json(value: Any) -> Any:
    """Convert pydantic models, also inside lists and dictionaries, to JSON values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
