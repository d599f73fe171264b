"""The worker and the API as child processes of the local stack."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import worker
from adapters.temporal.encryption_keys import KEYS_FILE
from dev_stack.addresses import StackAddresses
from dev_stack.child_server import LOOPBACK, ChildProcess, DirectoryLock
from dev_stack.reserved_ports import DefaultPorts

_PROGRAM = Path(worker.__file__).resolve()
_DEFAULT_METRICS_PORT, _DEFAULT_HEALTH_PORT, _DEFAULT_API_PORT = 9464, 9465, 8080


@dataclass(frozen=True)
class ServiceAddresses:
    """Addresses of the worker's metrics and health endpoints, and of the API."""

    metrics_address: str
    """host:port"""
    health_address: str
    """host:port"""
    api_address: str
    """host:port"""

    @property
    def metrics_url(self) -> str:
        return f"http://{self.metrics_address}/metrics"

    @property
    def health_url(self) -> str:
        return f"http://{self.health_address}/readyz"

    @property
    def api_url(self) -> str:
        return f"http://{self.api_address}"

    @property
    def console_url(self) -> str:
        """URL of the console in the API process. Browsers store its session cookie for `localhost`."""
        return f"http://localhost:{self.api_address.rpartition(':')[2]}"


def chosen_addresses(ports: DefaultPorts) -> ServiceAddresses:
    """Select the addresses of the worker and the API; they stay reserved until `ports` exits."""
    default = (_DEFAULT_METRICS_PORT, _DEFAULT_HEALTH_PORT, _DEFAULT_API_PORT)
    return ServiceAddresses(*(f"{LOOPBACK}:{ports.choose(port)}" for port in default))


@asynccontextmanager
async def worker_process(
    directory: Path, addresses: StackAddresses, watched_at: ServiceAddresses | None = None
) -> AsyncIterator[ChildProcess]:
    """Run `python worker.py` for an embedded stack; its log is `directory/worker.log`.

    The worker ends with this process. When the context exits, SIGTERM stops the worker, which first finishes
    its running activities.
    """
    async with DirectoryLock(directory) as lock:
        async with _starting(_worker_settings(addresses, watched_at)):
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


@asynccontextmanager
async def api_process(
    directory: Path, addresses: StackAddresses, watched_at: ServiceAddresses
) -> AsyncIterator[ChildProcess]:
    """Run `worksub api` for an embedded stack; its log is `directory/api.log`."""
    settings = {
        **_stack_settings(addresses),
        "DATABASE_URL": addresses.api_url,
        "WORKSUB_API_ADDRESS": watched_at.api_address,
        "WORKSUB_CONSOLE_URL": watched_at.console_url,
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


def _worker_settings(addresses: StackAddresses, watched_at: ServiceAddresses | None) -> dict[str, str]:
    catalogue = os.environ.get("WORKSUB_CATALOGUE")
    return {
        # An absolute path, because the child has another working directory.
        **({"WORKSUB_CATALOGUE": str(Path(catalogue).resolve())} if catalogue else {}),
        **_stack_settings(addresses),
        "DATABASE_URL": addresses.worker_url,
        "WORKSUB_DNS_RESOLVERS": addresses.dns_address,
        "WORKSUB_WEBHOOK_TARGETS": "any",
        "WORKSUB_CONSOLE_URL": watched_at.console_url if watched_at else "",
        # Addresses from the user's environment belong to another worker.
        "WORKSUB_METRICS_ADDRESS": watched_at.metrics_address if watched_at else "",
        "WORKSUB_HEALTH_ADDRESS": watched_at.health_address if watched_at else "",
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
