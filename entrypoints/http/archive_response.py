"""Response with an export archive, streamed as its client reads it (R37)."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/zip"


async def archive_response(pieces: AsyncGenerator[bytes], subscription_id: str) -> Response:
    """Return the response, or raise an error that occurs before the first piece.

    A later error closes the connection without the last chunk, so that the client detects the cut.
    """
    filename = f"subscription-{quote(subscription_id, safe='')}.zip"
    return _ArchiveResponse(await anext(pieces), pieces, filename)


class _ArchiveResponse(StreamingResponse):
    def __init__(self, first: bytes, others: AsyncGenerator[bytes], filename: str) -> None:
        super().__init__(
            _all(first, others),
            media_type=MEDIA_TYPE,
            headers={
                "Content-Disposition": f'attachment; filename="{filename}"',
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            },
        )
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that disconnects must not keep the database connection of the export.
        async with aclosing(self._others):
            await super().__call__(scope, receive, send)


async def _all(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece
