"""Running the codec server until it is told to stop."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from activities.settings import Address, SettingsError
from starter.codec_server.app import codec_app
from starter.codec_server.callers import AnybodyHere
from starter.codec_server.settings import CodecSettings
from workflows.encryption import Encryption
from workflows.keyring import Keyring

_LOOPBACK = "127.0.0.1"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for whoever runs this server."""
        yield


async def serve(settings: CodecSettings) -> None:
    """Answer until SIGTERM or SIGINT, then finish what was begun. Raises `SettingsError`."""
    app = codec_app(
        Encryption(settings.keyring),
        namespace=settings.namespace,
        origin=settings.origin,
        callers=settings.callers,
        encodes=settings.encodes,
    )
    server = _server(app)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with _listening_at(settings.address) as opened:
        await server.serve(sockets=[opened])


async def serve_here(address: Address, keyring: Keyring, *, namespace: str, origin: str) -> None:
    """Decode and encode for everybody on this machine, as `worksub dev` does, until it is cancelled."""
    app = codec_app(
        Encryption(keyring), namespace=namespace, origin=origin, callers=AnybodyHere(), encodes=True
    )
    with _listening_at(address) as opened:
        await _server(app).serve(sockets=[opened])


@contextlib.asynccontextmanager
async def answering(app: FastAPI) -> AsyncIterator[str]:
    """The application at a free port of this machine while in this block; gives its URL."""
    with _listening_at(Address(_LOOPBACK, 0)) as opened:
        server = _server(app)
        serving = asyncio.create_task(server.serve(sockets=[opened]))
        try:
            yield f"http://{_LOOPBACK}:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def _server(app: FastAPI) -> uvicorn.Server:
    """It logs nothing of its own: its lines would have whatever a caller has put into an address."""
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            lifespan="off",
        )
    )


@contextlib.contextmanager
def _listening_at(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        opened = socket.create_server(address, family=family)
    except OSError as error:
        raise SettingsError(
            f"WORKSUB_CODEC_ADDRESS: nothing can listen on {address}: {error.strerror}."
        ) from None
    with opened:
        yield opened
