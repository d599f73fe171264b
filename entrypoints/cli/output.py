"""Output: results to standard output, progress to standard error."""

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from entrypoints.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Tables that are piped elsewhere are not cut to the width of a terminal that is not there.
_WIDTH_WITHOUT_TERMINAL = 160


def console(*, stderr: bool = False) -> "Console":
    """A console that prints what it is given: customers' words are never taken for markup."""
    from rich.console import Console

    from entrypoints.cli.views.layout import NARROWEST

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    shown_on = Console(stderr=stderr, width=width, markup=False, highlight=False)
    shown_on.width = max(shown_on.width, NARROWEST)
    return shown_on


def show(as_json: bool, document: Any, for_people: "Callable[[], RenderableType]") -> None:
    """The answer of a command: `document` as one line of JSON, or what `for_people` makes of it."""
    if as_json:
        show_json(document)
    else:
        console().print(for_people(), crop=False)


def show_json(document: Any) -> None:
    written = json.dumps(_in_json(document), ensure_ascii=False)
    try:
        written.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # a terminal that is not in UTF-8, the name of a file that is no text
        written = json.dumps(_in_json(document))
    print(written, flush=True)


def print_status(sentence: str) -> None:
    """A word to the person who waits; never part of the answer.

    It may repeat the name of a file or an option, in which nothing is to steer the terminal.
    """
    print("".join(map(_visible, sentence)), file=sys.stderr, flush=True)


def _visible(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def reopen_closed_streams() -> None:
    """A stream that our caller has closed leads nowhere, instead of being none at all."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def is_output_error(error: OSError) -> bool:
    """Whether nobody reads on (`| head -1`), or the disk that the answer goes to is full."""
    return error.errno in (errno.EPIPE, errno.ENOSPC)


def discard_stdout() -> None:
    """What is still to be written goes nowhere, or the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def prompt(question: str) -> str:
    """What is typed at the terminal; the question is no part of the answer that goes to standard output."""
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
    """A refusal's own message is all of its problems in a row, which are listed below it instead."""
    if error.problems and error.exit_code is ExitCode.REFUSED:
        return "refused, and nothing has changed:"
    return error.message


def _problem_line(problem: Mapping[str, Any]) -> str:
    field, message = problem["field"], problem["message"]
    if "file" not in problem:
        return f"  {field or 'this'} {message}"
    line = f", line {problem['line']}" if problem["line"] else ""
    return f"  {problem['file']}{line}: {f'{field} ' if field else ''}{message}"


def _in_json(value: Any) -> Any:
    """Models as the JSON that is theirs, alone or in lists and objects."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _in_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(each) for each in value]
    return value
