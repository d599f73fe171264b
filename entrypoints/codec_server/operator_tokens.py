"""Operator tokens, stored as SHA-256 hashes in a file."""

import re
from pathlib import Path

from adapters.tokens import token_hash

_NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"({_NAME}):([0-9a-f]{{64}})")


class TokensError(ValueError):
    """Invalid token name."""


def token_line(name: str, token: str) -> str:
    """Return the line of the tokens file for this token. Raises `TokensError`."""
    if re.fullmatch(_NAME, name) is None:
        raise TokensError(f"Invalid token name: {name!r}. Use at most 64 letters, digits, '.', '_' or '-'.")
    return f"{name}:{token_hash(token).hex()}"


def names_in(file: Path) -> dict[str, str]:
    """Return the token names of the file by token hash; raises `ValueError` with the end of a sentence."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"is {file}, which cannot be read") from None
    names = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(
                f"is {file}, whose line {number} is not NAME:SHA256; `worksub codec generate-token` writes it"
            )
        names[match[2]] = match[1]
    return names
