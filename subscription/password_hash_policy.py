"""Policy for Argon2id hashes: PHC strings with bounded cost (R7)."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Literal

_NUMBER = r"(0|[1-9][0-9]{0,9})"
_PHC = re.compile(
    rf"\$argon2id\$v={_NUMBER}\$m={_NUMBER},t={_NUMBER},p={_NUMBER}\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_LONGEST = 256
_VERSION = 19


@dataclass(frozen=True)
class _Bounds:
    least: int
    most: int
    unit: str = ""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.least} to {self.most}{self.unit}"


# The lower bounds are OWASP's recommendations. The upper bounds limit a verification to 64 MiB and a fraction
# of a second, because the parameters in the hash determine the cost of every sign-in.
MEMORY = _Bounds(19_456, 65_536, " KiB")
PASSES = _Bounds(2, 4)
LANES = _Bounds(1, 4)
SALT = _Bounds(16, 64, " bytes")
DIGEST = _Bounds(32, 64, " bytes")

ALLOWED = f"version {_VERSION}, m {MEMORY}, t {PASSES}, p {LANES}, a salt of {SALT}, a digest of {DIGEST}"

PLACEHOLDER = (
    "$argon2id$v=19$m=65536,t=3,p=4$c2FtcGxlc2FsdHNhbXBsZQ$c2FtcGxlaGFzaHNhbXBsZWhhc2hzYW1wbGVoYXNoc2E"
)
"""A valid hash that belongs to no password, for checking a request before its password is known."""


def password_hash_problem(text: str) -> Literal["FORM", "COST"] | None:
    """Return why the hash is not accepted, or None. Never verify a password against a refused hash."""
    match = _PHC.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return "FORM"
    version, memory, passes, lanes = (int(number) for number in match.groups()[:4])
    salt, digest = (_bytes_in(part) for part in match.groups()[4:])
    allowed = (
        version == _VERSION
        and memory in MEMORY
        and passes in PASSES
        and lanes in LANES
        and salt in SALT
        and digest in DIGEST
    )
    return None if allowed else "COST"


def _bytes_in(unpadded: str) -> int | None:
    """Return the length of the decoded text; None if it is not canonical Base64."""
    try:
        decoded = b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except Base64Error:
        return None
    return len(decoded) if b64encode(decoded).decode().rstrip("=") == unpadded else None
