"""Keyset pagination with opaque cursors.

Whose entries they are is never in it, so a caller who changes a cursor still reads only permitted entries.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError
from subscription.model import Frozen

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="So many at most.")]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next` of the page before; the first page has none.")
]


class Page(Frozen, Generic[T]):
    """Entries in their order. `next` is the cursor of the following page, null on the last one."""

    items: tuple[T, ...]
    next: str | None


def make_page(found: Sequence[T], limit: int, of: str, position: Callable[[T], str]) -> Page[T]:
    """A page of the list `of`. One entry more than the limit was found if there are more."""
    shown = found[:limit]
    return Page(
        items=tuple(shown), next=encode_cursor(of, position(shown[-1])) if len(found) > limit else None
    )


def whole(found: Iterable[T]) -> Page[T]:
    """Return a list that is never long as its only page."""
    return Page(items=tuple(found), next=None)


def encode_cursor(of: str, position: str) -> str:
    """Return the cursor of the list `of` behind an entry; no other list accepts it."""
    return base64.urlsafe_b64encode(f"{of} {position}".encode()).decode().rstrip("=")


def decode_cursor(of: str, cursor: str | None) -> str:
    """Return the position of a cursor of the list `of`, or an empty text, for its beginning, without one."""
    if cursor is None:
        return ""
    try:
        text = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode()).decode("ascii")
    except (ValueError, binascii.Error):
        raise _invalid() from None
    list_name, _, position = text.rpartition(" ")
    if not (position and position.isprintable()) or list_name != of or encode_cursor(of, position) != cursor:
        raise _invalid()
    return position


def decode_numeric_cursor(of: str, cursor: str | None) -> int:
    """As `after`, where positions are numbers."""
    position = decode_cursor(of, cursor)
    if position and not (position.isdecimal() and len(position) < 19):
        raise _invalid()
    return int(position or 0)


def _invalid() -> ApiError:
    return ApiError(ApiCode.INVALID_CURSOR, MESSAGES[ApiCode.INVALID_CURSOR], "cursor")
