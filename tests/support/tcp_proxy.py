"""A TCP proxy that keeps its address while the server behind it changes or is stopped."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class TcpProxy:
    """Proxy for TCP connections to the server at an address. Without a server, it closes them.

    Attributes, valid while it is open: `address` ("host:port").
    """

    address: str

    def __init__(self) -> None:
        self._behind = ""
        self._passing: set[asyncio.Task[None]] = set()
        self._loses_answers = False

    def leads_to(self, address: str) -> None:
        self._behind = address
        self._loses_answers = False

    def loses_answers(self) -> None:
        """Pass on what the client sends, but nothing that the server sends."""
        self._loses_answers = True

    def closes(self) -> None:
        """Close all connections; new connections are also closed."""
        self._behind = ""
        for task in self._passing:
            task.cancel()

    def leads_to_database(self, url: str) -> str:
        """Forward to this database; return its URL through the proxy."""
        parts = urlsplit(url)
        credentials, _, self._behind = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}@{self.address}"))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        host, _, port = self._behind.rpartition(":")
        try:
            if self._behind:
                behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
                await asyncio.gather(
                    pump(reader, behind_writer),
                    pump(behind_reader, writer, is_lost=lambda: self._loses_answers),
                )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._passing.discard(task)


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    is_lost: Callable[[], bool] = lambda: False,
) -> None:
    try:
        while data := await reader.read(65_536):
            if is_lost():
                continue
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.close()
