"""Text files, read with a size limit."""

import sys
from pathlib import Path

STANDARD_INPUT = Path("-")
"""Conventional command-line name for standard input."""

_MAX_MEGABYTES = 16


class TooLargeError(Exception):
    """A file is larger than the size limit; the message names the limit."""


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark. A pipe is read to its end.

    The path "-" means standard input.

    Raises `OSError`, `UnicodeDecodeError` or `TooLargeError`.
    """
    max_bytes = _MAX_MEGABYTES * 2**20
    if path == STANDARD_INPUT:
        content = sys.stdin.buffer.read(max_bytes + 1)
    else:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise TooLargeError(f"is larger than {_MAX_MEGABYTES} MB")
    return content.decode("utf-8-sig")
