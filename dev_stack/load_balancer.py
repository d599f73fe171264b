"""TCP load balancer in front of the API processes of the local stack."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 2**16


class LoadBalancer:
    """`async with LoadBalancer("127.0.0.1:8080", servers):` forward each connection to the next server.

    Addresses are `host:port`. A server that refuses the connection is skipped, so a process can be replaced
    while another one responds. If all refuse it, the connection is closed.
    """

    def __init__(self, address: str, servers: Sequence[str]) -> None:
        self._address = _host_and_port(address)
        self._servers = [_host_and_port(server) for server in servers]
        self._next = itertools.cycle(range(len(servers)))
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        try:
            for host, port in self._in_turn():
                try:
                    server = await asyncio.open_connection(host, port)
                except ConnectionError:
                    continue
                await _forward((reader, writer), server)
                return
        finally:
            writer.close()

    def _in_turn(self) -> Iterator[tuple[str, int]]:
        """Yield every server once, beginning with the next one."""
        first = next(self._next)
        yield from self._servers[first:]
        yield from self._servers[:first]


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _forward(client: _Streams, server: _Streams) -> None:
    """Copy both directions until both ends have closed them, or until one end is reset."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(client[0], server[1]))
            group.create_task(_copy(server[0], client[1]))
    except* OSError:
        client[1].transport.abort()
    finally:
        server[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
