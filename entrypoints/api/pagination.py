"""Keyset pagination with opaque cursors.

A cursor contains no customer ID. A client that forges a cursor therefore reads only its own entries.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError
from subscription.model import Frozen

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of entries on the page.")]
Cursor = Annotated[
    str | None, Query(max_length=500, description="`next` of the previous page. Omit it for the first page.")
]


class Page(Frozen, Generic[T]):
    """Page of a list. `next` is the cursor of the following page, null on the last page."""

    items: tuple[T, ...]
    next: str | None


def make_page(rows: Sequence[T], limit: int, of: str, position: Callable[[T], str]) -> Page[T]:
    """Return a page of the list `of`. The query fetches `limit + 1` rows to detect a following page."""
    items = rows[:limit]
    return Page(
        items=tuple(items), next=encode_cursor(of, position(items[-1])) if len(rows) > limit else None
    )


def whole(rows: Iterable[T]) -> Page[T]:
    """Return a short list as a single page."""
    return Page(items=tuple(rows), next=None)


def encode_cursor(of: str, position: str) -> str:
    """Return a cursor after this position of the list `of`. Other lists refuse it."""
    return base64.urlsafe_b64encode(f"{of} {position}".encode()).decode().rstrip("=")


def decode_cursor(of: str, cursor: str | None) -> str:
    """Return the position in the list `of`: an empty string, the start, if there is no cursor."""
    if cursor is None:
        return ""
    try:
        text = base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode()).decode("ascii")
    except (ValueError, binascii.Error):
        raise _invalid() from None
    position = text.rpartition(" ")[2]
    # The comparison also refuses the cursor of another list, and every other spelling of a cursor.
    if not (position and position.isprintable()) or encode_cursor(of, position) != cursor:
        raise _invalid()
    return position


def decode_numeric_cursor(of: str, cursor: str | None) -> int:
    """Return the position as a number; 0 if there is no cursor."""
    position = decode_cursor(of, cursor)
    if position and not (position.isdecimal() and len(position) < 19):
        raise _invalid()
    return int(position or 0)


def _invalid() -> ApiError:
    return ApiError(ApiCode.INVALID_CURSOR, MESSAGES[ApiCode.INVALID_CURSOR], "cursor")
