"""Slow, silent and non-reading clients are disconnected, and concurrent connections are limited."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from support.http_server import served
from support.polling import wait_for

from entrypoints.http.protocol import HttpLimits

from .conftest import WebServer

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
SHORT = HttpLimits(connections=3, head_seconds=0.5, body_seconds=0.5, reading_seconds=0.5)
# For tests whose first request must arrive in time, also while other processes have the processor.
LONGER = HttpLimits(connections=3, head_seconds=2, body_seconds=2)


async def body_reading_app(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def immediate_response_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected(
    app: ASGIApp, limits: HttpLimits = SHORT
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with served(app, limits=limits) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            yield reader, writer
        finally:
            writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        return await reader.read()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Read the head of a response without a body; return its first line."""
    async with asyncio.timeout(30):
        return (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]


@pytest.mark.parametrize("sent", [b"", b"P", HEAD, HEAD + b"a: b"])
async def test_unfinished_head_times_out(sent: bytes) -> None:
    async with connected(body_reading_app) as (reader, writer):
        writer.write(sent)
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
)
async def test_unfinished_body_times_out(framing: bytes) -> None:
    async with connected(body_reading_app) as (reader, writer):
        writer.write(HEAD + framing)
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")


async def test_slow_bytes_do_not_extend_the_timeout() -> None:
    async with connected(body_reading_app) as (reader, writer):
        writer.write(HEAD)

        async def dribble() -> None:
            while not writer.is_closing():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        try:
            assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        except ConnectionResetError:
            pass  # bytes in transit reached the closed socket
        finally:
            dribbling.cancel()


async def test_body_continuing_after_the_response_is_cut_off() -> None:
    async with connected(immediate_response_app, LONGER) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 9\r\n\r\nabc")
        answered = await read_all(reader)
    assert answered.startswith(b"HTTP/1.1 401 ")
    assert b"408" not in answered


async def test_second_request_has_the_same_timeout() -> None:
    async with connected(body_reading_app, LONGER) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n" + HEAD)
        answered = await read_all(reader)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.count(b"HTTP/1.1 408 ") == 1


async def test_idle_connection_is_kept_longer_than_a_slow_head() -> None:
    request = HEAD + b"Content-Length: 0\r\n\r\n"
    async with (
        served(body_reading_app, limits=LONGER) as url,
        AsyncExitStack() as opened,
    ):
        port = int(url.rpartition(":")[2])
        (reader, writer), (silent, other) = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(2)
        ]
        opened.callback(writer.close)
        opened.callback(other.close)
        writer.write(request)
        assert await read_head(reader) == b"HTTP/1.1 200 OK"
        # The time for a head has passed when the server ends the connection that has sent nothing.
        assert (await read_all(silent)).startswith(b"HTTP/1.1 408 ")
        writer.write(request)
        assert await read_head(reader) == b"HTTP/1.1 200 OK"


async def test_longest_idle_connection_makes_room_for_a_new_one() -> None:
    request = HEAD + b"Content-Length: 0\r\n\r\n"
    limits = HttpLimits(connections=2, idle_seconds=60)
    async with served(body_reading_app, limits=limits) as url, AsyncExitStack() as opened:

        async def exchange() -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            opened.callback(writer.close)
            writer.write(request)
            assert await read_head(reader) == b"HTTP/1.1 200 OK"
            return reader

        first, second, _ = [await exchange() for _ in range(3)]
        assert await read_all(first) == b""
        await exchange()
        assert await read_all(second) == b""


async def test_client_that_does_not_read_times_out() -> None:
    ended = asyncio.Event()

    async def endless_app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def write() -> None:
            while True:
                await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        writing.cancel()
        ended.set()

    async with connected(endless_app) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(30):
            await ended.wait()


async def test_excess_connections_are_refused_then_accepted_later() -> None:
    limits = HttpLimits(connections=3, head_seconds=60)
    request = HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    async with served(body_reading_app, limits=limits) as url, AsyncExitStack() as opened:
        port = int(url.rpartition(":")[2])

        async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.callback(writer.close)
            return reader, writer

        held = [await open_one() for _ in range(3)]
        reader, _ = await open_one()
        assert (await read_all(reader)).startswith(b"HTTP/1.1 503 ")
        held[0][1].close()

        async def is_accepted() -> bool:
            reader, writer = await open_one()
            writer.write(request)
            return (await read_all(reader)).startswith(b"HTTP/1.1 200 ")

        await wait_for("a connection is accepted again", is_accepted)


@pytest.mark.parametrize(
    "framing",
    [
        b"HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_body_of_ambiguous_length_is_refused_and_closes(web_server: WebServer, framing: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web_server.port)
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    writer.write(b"POST /v1/subscriptions " + framing + b"Host: a\r\n\r\n0\r\n\r\n" + smuggled)
    answered = await read_all(reader)
    writer.close()
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1") == 1
