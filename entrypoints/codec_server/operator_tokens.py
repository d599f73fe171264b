"""Operator tokens, stored as SHA-256 digests."""

import hashlib
import re
import secrets
from pathlib import Path

_NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"({_NAME}):([0-9a-f]{{64}})")


class TokensError(ValueError):
    """A name, or a file of tokens, is not what it must be; the message is a sentence."""


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """As in SHA256SUMS. Nothing slower is needed, for nobody can try all tokens."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(name: str, token: str) -> str:
    """The line that lets the holder of this token in. Raises `TokensError`."""
    if re.fullmatch(_NAME, name) is None:
        raise TokensError(f"{name!r} is no name of a token: letters, digits, '.', '_' and '-', 64 at most.")
    return f"{name}:{digest_of(token)}"


def names_in(file: Path) -> dict[str, str]:
    """The names of those whom the lines of this file let in, by digest. Raises `TokensError`."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        raise TokensError(f"{file} cannot be read.") from None
    names = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        written = _LINE.fullmatch(line.strip())
        if written is None:
            raise TokensError(
                f"{file}, line {number}, is not NAME:SHA256, as `worksub codec generate-token` writes it."
            )
        names[written[2]] = written[1]
    return names
