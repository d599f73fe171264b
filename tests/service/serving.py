"""An application that answers over real HTTP, in this process, at an address of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"


@asynccontextmanager
async def served(app: ASGIApp, *, port: int = 0, grace: int | None = None) -> AsyncIterator[str]:
    """The URL at which it answers: on a free port, or on this one.

    At the end it waits for what is under way; for no longer than `grace` seconds, if that is given.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=grace
    )
    server = _Server(config)
    with socket.create_server((HOST, port)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """The tests', not the server's."""
        yield
