"""Text files, read with a size limit."""

import sys
from pathlib import Path

STANDARD_INPUT = Path("-")
"""The name by which command lines know standard input."""

_MOST_MEGABYTES = 16


class TooLargeError(Exception):
    """It goes on for longer than any file of ours; the message says so."""


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark; a pipe is read to its end.

    The file "-" is standard input.

    Raises `OSError`, `UnicodeDecodeError` or `TooLargeError`.
    """
    most = _MOST_MEGABYTES * 2**20
    if path == STANDARD_INPUT:
        content = sys.stdin.buffer.read(most + 1)
    else:
        with path.open("rb") as file:
            content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(f"is larger than {_MOST_MEGABYTES} MB")
    return content.decode("utf-8-sig")
