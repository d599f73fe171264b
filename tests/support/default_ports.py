"""A lock on the default ports of `worksub dev`, for which it has no settings."""

import asyncio
import fcntl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

DEFAULT_PORTS = 7233, 8233, 9464, 9465, 8080
_LOCK = Path(tempfile.gettempdir()) / "worksub-tests-default-ports.lock"


@asynccontextmanager
async def default_ports_held() -> AsyncIterator[None]:
    """Run one such test at a time on this machine: other test processes and test suites wait here."""
    with _LOCK.open("a") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
