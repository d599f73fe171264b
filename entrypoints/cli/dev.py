"""`worksub dev`: run all services locally."""

import asyncio
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adapters.settings import HostPort
from adapters.temporal.encryption_keys import Keyring, keyring_from
from adapters.temporal.task_queue import is_worked_on
from dev_stack.addresses import StackAddresses
from dev_stack.child_server import LOOPBACK, ChildProcess, ServerError, port_is_free
from dev_stack.dns_server import DnsServer
from dev_stack.load_balancer import LoadBalancer
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.service_processes import ServiceAddresses, api_process, chosen_addresses, worker_process
from dev_stack.stack import EmbeddedStack, StackEndedError
from entrypoints.cli.connections import dev_client
from entrypoints.cli.dev_environment import environment_files
from starter.setup import set_up
from subscription.account_names import domain_name
from subscription.catalogue import Catalogue

DNS_RECORDS = "dns.txt"
"""File in the data directory with one DNS record per line, published by the embedded DNS server."""

_DEFAULT_CODEC_PORT = 8234
_RESTART_DELAY_SECONDS = 1.0
_POLL_SECONDS = 0.2


async def run_dev(
    directory: Path,
    catalogue: Catalogue,
    *,
    workers: int,
    apis: int,
    report: Callable[[str], None],
    on_ready: Callable[[StackAddresses, ServiceAddresses], None],
) -> None:
    """Run the servers, workers and API processes on the data in `directory` until SIGTERM or SIGINT.

    Several API processes have a load balancer in front of them.

    Raises `StackError` if the servers do not start or one of them ends. Raises `PublishingError` or
    `DatabaseError` if the catalogue or the database is incompatible.
    """
    _cancel_on_signals(report)
    keyring = keyring_from(os.environ)
    try:
        with DefaultPorts(report) as ports:
            codec = HostPort(LOOPBACK, ports.choose(_DEFAULT_CODEC_PORT)) if keyring else None
            async with EmbeddedStack(
                directory,
                search_attributes={},
                default_ports=ports,
                codec_url=f"http://{codec}" if codec else None,
                on_progress=report,
            ) as stack:
                report("Setting up the database and the namespace…")
                await set_up(await dev_client(stack.addresses), stack.addresses.database_url, catalogue)
                await run_together(
                    stack.postgres.wait_for_end(),
                    stack.temporal.wait_for_end(),
                    _publish_records(directory / DNS_RECORDS, stack.dns, report),
                    _supervise_services(
                        directory,
                        stack.addresses,
                        chosen_addresses(ports, workers=workers, apis=apis),
                        report,
                        on_ready,
                    ),
                    *([_serve_codec(codec, keyring, stack.addresses, report)] if codec else []),
                )
    except asyncio.CancelledError:
        report("Stopped. The data is kept for the next start.")
    except ServerError as error:
        raise StackEndedError(str(error)) from error


async def _serve_codec(
    address: HostPort, keyring: Keyring, addresses: StackAddresses, report: Callable[[str], None]
) -> None:
    """Run a codec server for the Web UI, which otherwise shows encrypted payloads undecoded."""
    try:
        from entrypoints.codec_server.server import serve_here
    except ModuleNotFoundError as error:
        report(f"The Web UI will not decrypt, because {error.name} is missing: pip install 'worksub[codec]'.")
        return
    await serve_here(address, keyring, namespace=addresses.namespace, origin=addresses.ui_url)


def _cancel_on_signals(report: Callable[[str], None]) -> None:
    """Cancel the current task at the first SIGINT or SIGTERM; ignore later signals during the shutdown."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            report("Stopping the worker, then the servers…")
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def run_together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines concurrently. If one fails, or on cancellation, cancel the others and wait for them.

    Raises the first failure. A task group cancels each task once: a second cancellation would interrupt a
    task that is stopping its process. `asyncio.gather` does not wait for its tasks when it is canceled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _supervise_services(
    directory: Path,
    addresses: StackAddresses,
    at: ServiceAddresses,
    report: Callable[[str], None],
    on_ready: Callable[[StackAddresses, ServiceAddresses], None],
) -> None:
    client = await dev_client(addresses)
    waiting = {"workers": len(at.workers), "apis": len(at.api_processes) if find_spec("uvicorn") else 0}

    def count(kind: str) -> None:
        waiting[kind] -= 1
        if not any(waiting.values()):
            on_ready(addresses, at)

    async def wait_for_worker(process: ChildProcess) -> None:
        await process.wait_until(lambda: is_worked_on(client))
        count("workers")

    async with AsyncExitStack() as stack:
        supervised = [
            _supervise(
                _process_name("worker", number, at.workers),
                partial(
                    worker_process, _directory(directory / "worker", number), addresses, at, number=number
                ),
                report,
                wait_for_worker,
            )
            for number in range(len(at.workers))
        ]
        if waiting["apis"]:
            for number, address in enumerate(at.api_processes):

                async def wait_for_api(process: ChildProcess, address: str = address) -> None:
                    await process.wait_until(lambda: _is_listening(address))
                    count("apis")

                start = partial(
                    api_process, _directory(directory / "api", number), addresses, at, number=number
                )
                supervised.append(
                    _supervise(_process_name("API", number, at.api_processes), start, report, wait_for_api)
                )
            if len(at.api_processes) > 1:
                await stack.enter_async_context(LoadBalancer(at.api_address, at.api_processes))
        else:
            report("The HTTP API is not installed: pip install 'worksub[api]'.")
        with environment_files(directory, addresses, at.api_url):
            await run_together(*supervised)


def _process_name(kind: str, number: int, of: Sequence[object]) -> str:
    return f"The {kind}" + (f" (process {number + 1})" if len(of) > 1 else "")


def _directory(of_first: Path, number: int) -> Path:
    """Return the directory of a process: `worker`, `worker-2` and so on."""
    return of_first if number == 0 else of_first.with_name(f"{of_first.name}-{number + 1}")


async def _is_listening(address: str) -> bool:
    return not port_is_free(int(address.rpartition(":")[2]))


async def _supervise(
    name: str,
    start: Callable[[], AbstractAsyncContextManager[ChildProcess]],
    report: Callable[[str], None],
    wait_until_ready: Callable[[ChildProcess], Awaitable[None]],
) -> None:
    """Run a process and restart it whenever it ends. `wait_until_ready` is awaited at the first start."""
    ready = False
    report(f"Starting {_in_a_sentence(name)}…")
    while True:
        try:
            async with start() as process:
                if not ready:
                    await wait_until_ready(process)
                    ready = True
                await process.wait_for_success()
            report(f"{name} has stopped.")
        except ServerError as error:
            report(str(error))
        await asyncio.sleep(_RESTART_DELAY_SECONDS)
        report(f"Starting {_in_a_sentence(name)} again…")


def _in_a_sentence(name: str) -> str:
    return name[0].lower() + name[1:]


async def _publish_records(file: Path, dns: DnsServer, report: Callable[[str], None]) -> None:
    """Publish the records of the file on the DNS server, and again after each change of the file."""
    published = ""
    while True:
        text = _contents(file)
        if text != published:
            published = text
            dns.clear()
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip() and not _publish(line, dns):
                    report(f"{file}, line {number}: invalid record. Use NAME TXT VALUE or NAME CNAME VALUE.")
        await asyncio.sleep(_POLL_SECONDS)


def _contents(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the file does not exist yet
        return ""


def _publish(line: str, dns: DnsServer) -> bool:
    """Publish a record as shown by `worksub verify-domain`; return False if the line is invalid."""
    try:
        name, kind, value = shlex.split(line)
        domain_name(name)
        match kind.upper():
            case "TXT":
                dns.publish_txt(name, value)
            case "CNAME":
                dns.publish_cname(name, domain_name(value))
            case _:
                return False
    except ValueError:  # includes PydanticCustomError
        return False
    return True
