"""Pages by keyset: a cursor says after which entry the next page begins, and nothing else.

Whose entries they are is never in it, so whoever changes one moves within what is theirs.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from starter.api.problems import EXAMPLES, ApiCode, ApiError
from subscription.model import Frozen

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="So many at most.")]
Cursor = Annotated[
    str | None, Query(max_length=300, description="`next` of the page before; the first page has none.")
]


class Page(Frozen, Generic[T]):
    """Entries in their order. `next` is the cursor of the following page, null on the last one."""

    items: tuple[T, ...]
    next: str | None


def page_of(found: Sequence[T], limit: int, position: Callable[[T], str]) -> Page[T]:
    """A page of what was found, which has one entry more if there are more."""
    shown = found[:limit]
    return Page(items=tuple(shown), next=cursor_at(position(shown[-1])) if len(found) > limit else None)


def whole(found: Iterable[T]) -> Page[T]:
    """Return a list that is never long as its only page."""
    return Page(items=tuple(found), next=None)


def cursor_at(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def after(cursor: str | None) -> str:
    """The position that a cursor tells; the beginning without one."""
    if cursor is None:
        return ""
    try:
        position = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode()).decode("ascii")
    except (ValueError, binascii.Error):
        raise _invalid() from None
    if not position.isprintable() or cursor_at(position) != cursor:
        raise _invalid()
    return position


def after_number(cursor: str | None) -> int:
    """As `after`, where positions are numbers."""
    position = after(cursor)
    if position and not (position.isdecimal() and len(position) < 19):
        raise _invalid()
    return int(position or 0)


def _invalid() -> ApiError:
    return ApiError(ApiCode.INVALID_CURSOR, EXAMPLES[ApiCode.INVALID_CURSOR], "cursor")
