"""A door in front of PostgreSQL: it stays where it is, whichever server stands behind it, or none."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit, urlunsplit


class Door:
    """Passes TCP connections on to the server of a database URL. With no server there, it cuts them."""

    def __init__(self) -> None:
        self._behind: SplitResult | None = None
        self._passing: set[asyncio.Task[None]] = set()

    def leads_to(self, database_url: str) -> str:
        """The URL of the same database, through the door."""
        self._behind = urlsplit(database_url)
        credentials = self._behind.netloc.rpartition("@")[0]
        return urlunsplit(self._behind._replace(netloc=f"{credentials}@127.0.0.1:{self._port}"))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
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
        assert self._behind is not None
        self._passing.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(
                self._behind.hostname, self._behind.port
            )
            await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()
            self._passing.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.close()
