"""The worker as a child process, as `worksub dev` and `worksub demo` run it."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import worker
from starter.embedded.server import ChildProcess, DirectoryLock
from starter.embedded.stack import StackAddresses

_PROGRAM = Path(worker.__file__).resolve()


@asynccontextmanager
async def worker_process(directory: Path, addresses: StackAddresses) -> AsyncIterator[ChildProcess]:
    """`python worker.py` for an embedded stack; its log is `directory/worker.log`. It dies with this process.

    On leaving it is stopped by SIGTERM, and waited for while it finishes what it has begun.
    """
    async with DirectoryLock(directory) as lock:
        with _environment(_settings(addresses)):
            process = await ChildProcess.start(
                "The worker",
                [sys.executable, _PROGRAM],
                log=directory / "worker.log",
                lock=lock,
                stop_signal=signal.SIGTERM,
            )
        try:
            yield process
        finally:
            await process.stop()


def _settings(addresses: StackAddresses) -> dict[str, str]:
    catalogue = os.environ.get("WORKSUB_CATALOGUE")
    return {
        # The child works in another directory.
        **({"WORKSUB_CATALOGUE": str(Path(catalogue).resolve())} if catalogue else {}),
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": addresses.namespace,
        # This user's profiles are for other servers.
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "DATABASE_URL": addresses.database_url,
        "WORKSUB_DNS_RESOLVERS": addresses.dns_address,
    }


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """The environment that a child inherits: this one's, but with these Temporal settings and no others."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("TEMPORAL_"):
            del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
