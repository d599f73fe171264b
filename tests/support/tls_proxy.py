"""A TLS proxy in front of a server, which requires certificates and API keys like a cloud service."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import hpack

from .tcp_proxy import pump

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS = 1, 4
_SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
_END_STREAM, _END_HEADERS, _PRIORITY = 0x1, 0x4, 0x20
_UNAUTHENTICATED = [
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "16"),
    ("grpc-message", "Request unauthorized."),
]


@asynccontextmanager
async def front(behind: str, context: ssl.SSLContext, api_key: str | None = None) -> AsyncIterator[str]:
    """Forward gRPC to the server at `behind` over TLS; with `api_key`, only for clients that send it.

    Yield its address on localhost.
    """
    context.set_alpn_protocols(["h2"])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            begun = b""
            if api_key is not None:
                begun, stream, headers = await _first_headers(reader)
                if headers.get("authorization") != f"Bearer {api_key}":
                    await _refuse(writer, stream)
                    return
            host, _, port = behind.rpartition(":")
            onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            onward_writer.write(begun)
            await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
        writer.close()

    server = await asyncio.start_server(pass_on, "localhost", 0, ssl=context)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def postgres_front(behind: str, context: ssl.SSLContext) -> AsyncIterator[str]:
    """Forward the PostgreSQL protocol, in which a client requests TLS before the handshake."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            assert await reader.readexactly(8) == _SSL_REQUEST
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            host, _, port = behind.rpartition(":")
            onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
        writer.close()

    server = await asyncio.start_server(pass_on, "localhost", 0)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _first_headers(reader: asyncio.StreamReader) -> tuple[bytes, int, dict[str, str]]:
    """Return the bytes up to the first call's headers, the number of its stream, and those headers."""
    begun = await reader.readexactly(len(_PREFACE))
    while True:
        head = await reader.readexactly(9)
        body = await reader.readexactly(int.from_bytes(head[:3]))
        begun += head + body
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        if kind == _HEADERS:
            block = body[5:] if flags & _PRIORITY else body
            return begun, stream, {str(name): str(value) for name, value in hpack.Decoder().decode(block)}


async def _refuse(writer: asyncio.StreamWriter, stream: int) -> None:
    block = hpack.Encoder().encode(_UNAUTHENTICATED)
    writer.write(_frame(_SETTINGS, 0, 0, b"") + _frame(_SETTINGS, _END_STREAM, 0, b""))
    writer.write(_frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block))
    await writer.drain()
    await asyncio.sleep(1)  # the client would miss the response if the connection were closed immediately
    writer.close()


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


def written_file(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)
