"""Response with a generated file, streamed as its client reads it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

ARCHIVE_TYPE = "application/zip"


async def archive_response(pieces: AsyncGenerator[bytes], subscription_id: str) -> Response:
    """Return the response with the export of a subscription (R37)."""
    filename = f"subscription-{quote(subscription_id, safe='')}.zip"
    return await download_response(pieces, filename, ARCHIVE_TYPE)


async def download_response(pieces: AsyncGenerator[bytes], filename: str, media_type: str) -> Response:
    """Return the response, or raise an error that occurs before the first piece.

    `filename` is ASCII. A later error closes the connection without the last chunk, so that the client
    detects the cut.
    """
    return _DownloadResponse(await anext(pieces), pieces, filename, media_type)


class _DownloadResponse(StreamingResponse):
    def __init__(self, first: bytes, others: AsyncGenerator[bytes], filename: str, media_type: str) -> None:
        super().__init__(
            _all(first, others),
            media_type=media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{filename}"',
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            },
        )
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that disconnects must not keep the database connection of an export.
        async with aclosing(self._others):
            await super().__call__(scope, receive, send)


async def _all(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece
