"""Limits of the health and metrics servers: connections, time, and size of the request head."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from http import HTTPStatus

import httpx
import pytest
from support.polling import wait_for

from adapters.observability.internal_http_server import Answer, Limits, serve_internal_http
from adapters.observability.sdk_runtime import metrics_served as worker_metrics_served
from adapters.settings import HostPort
from dev_stack.child_server import free_ports
from entrypoints.http.metrics import HttpMetrics, metrics_served
from entrypoints.http.protocol import HttpLimits

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LONG = b"GET /metrics HTTP/1.1\r\n" + b"".join(b"a%d: %s\r\n" % (each, b"x" * 2000) for each in range(50))


@asynccontextmanager
async def worker_server(*, connections: int = 32, seconds: float = 0.5) -> AsyncIterator[int]:
    limits = Limits(connections=connections, idle_seconds=seconds, connection_seconds=seconds)
    [port] = free_ports(1)
    answer = Answer(HTTPStatus.OK, "text/plain", b"well")
    async with serve_internal_http("127.0.0.1", port, lambda path: answer, limits=limits):
        yield port


@asynccontextmanager
async def internal_api_server(*, connections: int = 32, seconds: float = 0.5) -> AsyncIterator[int]:
    limits = HttpLimits(connections=connections, head_seconds=seconds, body_seconds=seconds)
    [port] = free_ports(1)
    async with metrics_served(HostPort("127.0.0.1", port), "a test", HttpMetrics("api"), limits=limits):
        yield port


Serving = Callable[..., AbstractAsyncContextManager[int]]
SERVERS = pytest.mark.parametrize("serving", [worker_server, internal_api_server])


async def answered(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@SERVERS
async def test_a_request_is_answered(serving: Serving) -> None:
    async with serving(seconds=60) as port:
        assert b" 200 OK" in await answered(port, REQUEST)


@SERVERS
@pytest.mark.parametrize("sent", [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: a\r\n", b"GET /"])
async def test_unfinished_request_times_out(serving: Serving, sent: bytes) -> None:
    async with serving() as port:
        assert b"200" not in await answered(port, sent)


@SERVERS
async def test_slow_bytes_time_out(serving: Serving) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\n")

        async def dribble() -> None:
            while not writer.is_closing():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0.05)

        dribbling = asyncio.create_task(dribble())
        try:
            async with asyncio.timeout(30):
                assert b"200" not in await reader.read()
        except ConnectionResetError:
            pass  # bytes in transit reached the closed socket
        finally:
            dribbling.cancel()
            writer.close()


@SERVERS
@pytest.mark.parametrize("sent", [LONG, b"GET /" + b"x" * 200_000, b"GET / HTTP/1.1\r\na: " + b"x" * 200_000])
async def test_long_head_is_refused_before_it_is_read(serving: Serving, sent: bytes) -> None:
    async with serving(seconds=60) as port:
        assert b"200" not in (await answered(port, sent))[:20]


@SERVERS
async def test_excess_connections_are_closed_then_accepted_later(serving: Serving) -> None:
    async with serving(connections=3, seconds=60) as port, AsyncExitStack() as opened:
        held = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET")
            opened.callback(writer.close)
            held.append(writer)
        assert b"200" not in await answered(port, REQUEST)
        held[0].close()

        async def is_accepted() -> bool:
            return b" 200 OK" in await answered(port, REQUEST)

        await wait_for("a connection is accepted again", is_accepted)


async def test_worker_serves_sdk_metrics() -> None:
    [port] = free_ports(1)
    async with worker_metrics_served("127.0.0.1", port) as runtime, httpx.AsyncClient() as client:
        runtime.metric_meter.create_counter("worksub_tried").add(3)

        async def is_counted() -> bool:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
            return answer.status_code == 200 and "worksub_tried_total 3" in answer.text

        await wait_for("the metric is exported", is_counted)
        assert (await client.get(f"http://127.0.0.1:{port}/other")).status_code == 404
