"""Account names and administrator IDs: which spellings are possible (R4, R6)."""

import re

import idna
from pydantic_core import PydanticCustomError

_GROUP = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADMIN_ID = re.compile(r"[a-z0-9._-]{2,40}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def group_name(name: str) -> str:
    """A group name as it is (R4), or a `PydanticCustomError` that says what would be right."""
    if not 2 <= len(name) <= 22:
        raise _not_a_group("must have 2 to 22 characters")
    if _GROUP.fullmatch(name) is None:
        raise _not_a_group(
            "must be of lowercase letters, digits and hyphens, with no hyphen first, last or twice in a row"
        )
    if name in ("line", "admin"):
        raise _not_a_group("must not be 'line' or 'admin'")
    if "worksmobile" in name or "lineworks" in name:
        raise _not_a_group("must not contain 'worksmobile' or 'lineworks'")
    return name


def domain_name(name: str) -> str:
    """A domain name in lowercase ASCII (R4); an internationalised one becomes its A-label form."""
    ascii_name = name if name.isascii() else _a_labels(name)
    if len(ascii_name) > 253:
        raise _not_a_domain("must have 253 characters at most")
    labels = ascii_name.split(".")
    if len(labels) < 2:
        raise _not_a_domain("must have two labels or more, as in acme.co.kr")
    if any(_LABEL.fullmatch(label) is None for label in labels):
        raise _not_a_domain(
            "must have labels of 1 to 63 lowercase letters, digits and hyphens, with no hyphen first or last"
        )
    if labels[-1].isdigit():
        raise _not_a_domain("must not end in a label of digits alone")
    for label in labels:
        _check_a_label(label)
    return ascii_name


def admin_id(name: str) -> str:
    """An administrator's ID (R6)."""
    if _ADMIN_ID.fullmatch(name) is None:
        raise PydanticCustomError(
            "INVALID_ADMIN_ID", "must be 2 to 40 lowercase English letters, digits, '.', '-' or '_'"
        )
    return name


def _a_labels(name: str) -> str:
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _not_a_domain("is not a possible internationalised domain name") from None


def _check_a_label(label: str) -> None:
    if label.startswith("xn--"):
        try:
            idna.ulabel(label)
        except (idna.IDNAError, UnicodeError):
            raise _not_a_domain("has a label that begins with 'xn--' and stands for no name") from None


def _not_a_group(message: str) -> PydanticCustomError:
    return PydanticCustomError("INVALID_GROUP_NAME", message)


def _not_a_domain(message: str) -> PydanticCustomError:
    return PydanticCustomError("INVALID_DOMAIN_NAME", message)
