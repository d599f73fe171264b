"""The worker and the API as child processes of the local stack."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.temporal.encryption_keys import KEYS_FILE
from dev_stack.addresses import StackAddresses
from dev_stack.child_server import LOOPBACK, ChildProcess, DirectoryLock
from dev_stack.reserved_ports import DefaultPorts

_DEFAULT_METRICS_PORT, _DEFAULT_HEALTH_PORT, _DEFAULT_API_PORT = 9464, 9465, 8080


@dataclass(frozen=True)
class WorkerAddresses:
    """Addresses, as host:port, of a worker's metrics and health endpoints."""

    metrics_address: str
    health_address: str

    @property
    def metrics_url(self) -> str:
        return f"http://{self.metrics_address}/metrics"

    @property
    def health_url(self) -> str:
        return f"http://{self.health_address}/readyz"


@dataclass(frozen=True)
class ServiceAddresses:
    """Addresses of the workers and the API processes.

    `api_address` is the address for clients: that of the only API process, or of the load balancer in front
    of all of them.
    """

    workers: tuple[WorkerAddresses, ...]
    api_address: str
    api_processes: tuple[str, ...]

    @property
    def api_url(self) -> str:
        return f"http://{self.api_address}"

    @property
    def console_url(self) -> str:
        """URL of the console in the API process. Browsers store its session cookie for `localhost`."""
        return f"http://localhost:{self.api_address.rpartition(':')[2]}"


def chosen_addresses(ports: DefaultPorts, *, workers: int = 1, apis: int = 1) -> ServiceAddresses:
    """Select the addresses of the workers and the API; they stay reserved until `ports` exits."""

    def address(default: int | None = None) -> str:
        return f"{LOOPBACK}:{ports.choose(default) if default else ports.choose_any()}"

    first = WorkerAddresses(address(_DEFAULT_METRICS_PORT), address(_DEFAULT_HEALTH_PORT))
    api_address = address(_DEFAULT_API_PORT)
    return ServiceAddresses(
        workers=(first, *(WorkerAddresses(address(), address()) for _ in range(workers - 1))),
        api_address=api_address,
        api_processes=(api_address,) if apis == 1 else tuple(address() for _ in range(apis)),
    )


@asynccontextmanager
async def worker_process(
    directory: Path, addresses: StackAddresses, at: ServiceAddresses | None = None, *, number: int = 0
) -> AsyncIterator[ChildProcess]:
    """Run the worker of the local stack; its log is `directory/worker.log`.

    With addresses, it has the endpoints of the worker with this index. The worker ends with this process.
    When the context exits, SIGTERM stops the worker, which first finishes its running activities.
    """
    async with DirectoryLock(directory) as lock:
        async with _starting(_worker_settings(addresses, at, number)):
            process = await ChildProcess.start(
                "The worker",
                [sys.executable, "-m", "dev_stack.local_worker"],
                log=directory / "worker.log",
                lock=lock,
                stop_signal=signal.SIGTERM,
            )
        try:
            yield process
        finally:
            await process.stop()


@asynccontextmanager
async def api_process(
    directory: Path, addresses: StackAddresses, at: ServiceAddresses, *, number: int = 0
) -> AsyncIterator[ChildProcess]:
    """Run `worksub api` for an embedded stack at the address with this index; log: `directory/api.log`."""
    settings = {
        **_stack_settings(addresses),
        "DATABASE_URL": addresses.api_url,
        "WORKSUB_API_ADDRESS": at.api_processes[number],
        "WORKSUB_CONSOLE_URL": at.console_url,
        "WORKSUB_CONSOLE_SIGN_IN": "developer",
        "WORKSUB_OIDC_ISSUER": "",
        "WORKSUB_TEMPORAL_UI_URL": f"{addresses.ui_url}/namespaces/{addresses.namespace}/workflows",
    }
    async with DirectoryLock(directory) as lock:
        async with _starting(settings):
            process = await ChildProcess.start(
                "The API",
                [sys.executable, "-m", "entrypoints.cli", "api"],
                log=directory / "api.log",
                lock=lock,
                stop_signal=signal.SIGTERM,
            )
        try:
            yield process
        finally:
            await process.stop()


def _stack_settings(addresses: StackAddresses) -> dict[str, str]:
    keys = os.environ.get(KEYS_FILE)
    return {
        # An absolute path, because the child has another working directory.
        **({KEYS_FILE: str(Path(keys).resolve())} if keys else {}),
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "TEMPORAL_NAMESPACE": addresses.namespace,
        # Ignore the user's Temporal profiles, which refer to other servers.
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }


def _worker_settings(addresses: StackAddresses, at: ServiceAddresses | None, number: int) -> dict[str, str]:
    catalogue = os.environ.get("WORKSUB_CATALOGUE")
    return {
        # An absolute path, because the child has another working directory.
        **({"WORKSUB_CATALOGUE": str(Path(catalogue).resolve())} if catalogue else {}),
        **_stack_settings(addresses),
        "DATABASE_URL": addresses.worker_url,
        "WORKSUB_DNS_RESOLVERS": addresses.dns_address,
        "WORKSUB_WEBHOOK_TARGETS": "any",
        "WORKSUB_CONSOLE_URL": at.console_url if at else "",
        # Addresses from the user's environment belong to another worker.
        "WORKSUB_METRICS_ADDRESS": at.workers[number].metrics_address if at else "",
        "WORKSUB_HEALTH_ADDRESS": at.workers[number].health_address if at else "",
    }


_start_lock = asyncio.Lock()


@asynccontextmanager
async def _starting(settings: Mapping[str, str]) -> AsyncIterator[None]:
    """Set the environment for the start of a child; only one start at a time, as the process shares it."""
    async with _start_lock:
        with _environment(settings):
            yield


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set the environment that a child inherits: the present one, but only with these Temporal settings."""
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
