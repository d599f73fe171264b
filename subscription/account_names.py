"""Validation of group names, domain names and administrator IDs (R4, R6)."""

import re
from functools import cache
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from subscription.refusals import RefusalCode, validation_error

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_GROUP = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADMIN_ID = re.compile(r"[a-z0-9._-]{2,40}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def group_name(name: str) -> str:
    """Return the group name unchanged (R4), or raise a `PydanticCustomError` that names the broken rule."""
    if not 2 <= len(name) <= 22:
        raise _not_a_group("LENGTH")
    if _GROUP.fullmatch(name) is None:
        raise _not_a_group("CHARACTERS")
    if name in ("line", "admin"):
        raise _not_a_group("RESERVED")
    if "worksmobile" in name or "lineworks" in name:
        raise _not_a_group("CONTAINS")
    return name


def customer_domain(name: str) -> str:
    """Return the domain name of an account in lowercase ASCII (R4); a public suffix is refused (R5)."""
    ascii_name = domain_name(name)
    if _public_suffixes().is_public(ascii_name):
        raise _not_a_domain("PUBLIC_SUFFIX")
    return ascii_name


def domain_name(name: str) -> str:
    """Return any domain name in lowercase ASCII (R4); an internationalized one in its A-label form."""
    if name.endswith(".") or any(character in "/@:?#" or character.isspace() for character in name):
        raise _not_a_domain("NOT_A_DOMAIN")
    ascii_name = name.lower() if name.isascii() else _a_labels(name)
    if len(ascii_name) > 253:
        raise _not_a_domain("TOO_LONG")
    labels = ascii_name.split(".")
    if len(labels) < 2:
        raise _not_a_domain("ONE_LABEL")
    if any(_LABEL.fullmatch(label) is None for label in labels):
        raise _not_a_domain("LABEL")
    if labels[-1].isdigit():
        raise _not_a_domain("DIGITS_LAST")
    for label in labels:
        _check_a_label(label)
    return ascii_name


def account_name(name: str) -> str:
    """Return the stored form of a group or domain name that a user typed; raises `PydanticCustomError`."""
    is_group = name.isascii() and not any(character in "./@:?#" for character in name)
    return group_name(name.lower()) if is_group else customer_domain(name)


def admin_id(name: str) -> str:
    """Return the administrator's ID unchanged (R6), or raise a `PydanticCustomError`."""
    if _ADMIN_ID.fullmatch(name) is None:
        raise validation_error(RefusalCode.INVALID_ADMIN_ID)
    return name


@cache
def _public_suffixes() -> "PublicSuffixList":
    """Return the suffixes under which registries sell domains, such as `co.kr` (R5).

    The private section of the list is left out: its suffixes, such as `github.io`, have an owner who can
    verify them.
    """
    from publicsuffixlist import PublicSuffixList  # lazy, because parsing the list takes 0.1 s

    return PublicSuffixList(only_icann=True)


def _a_labels(name: str) -> str:
    import idna  # lazy, because few names need its tables

    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _not_a_domain("NOT_ENCODABLE") from None


def _check_a_label(label: str) -> None:
    if label.startswith("xn--"):
        import idna

        try:
            idna.ulabel(label)
        except (idna.IDNAError, UnicodeError):
            raise _not_a_domain("A_LABEL") from None


def _not_a_group(reason: str) -> PydanticCustomError:
    return validation_error(RefusalCode.INVALID_GROUP_NAME, reason=reason)


def _not_a_domain(reason: str) -> PydanticCustomError:
    return validation_error(RefusalCode.INVALID_DOMAIN_NAME, reason=reason)
