"""`worksub dev`: the whole service on this machine, until it is told to stop."""

import asyncio
import shlex
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from starter.cli.health import is_worked_on
from starter.cli.services import client_of
from starter.cli.worker_process import WatchedAt, free_addresses, worker_process
from starter.embedded.addresses import StackAddresses
from starter.embedded.dns_server import DnsServer
from starter.embedded.server import ServerError
from starter.embedded.stack import EmbeddedStack, StackEndedError
from starter.setup import set_up
from subscription.catalogue import Catalogue
from subscription.names import domain_name

DNS_RECORDS = "dns.txt"
"""In this file of the directory a developer publishes DNS records, one a line."""

_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.2


async def run_dev(
    directory: Path,
    catalogue: Catalogue,
    *,
    say: Callable[[str], None],
    on_ready: Callable[[StackAddresses, WatchedAt], None],
) -> None:
    """Run Temporal, PostgreSQL, DNS and the worker on the data in `directory` until SIGTERM or SIGINT.

    Raises `StackError` if the servers do not start or one of them ends, `PublishingError` or `DatabaseError`
    if the catalogue or the database does not fit.
    """
    _be_cancelled_by_signals(say)
    try:
        async with EmbeddedStack(
            directory, search_attributes={}, prefer_usual_ports=True, on_progress=say
        ) as stack:
            say("Setting up the database and the namespace…")
            await set_up(await client_of(stack.addresses), stack.addresses.database_url, catalogue)
            await _together(
                stack.postgres.wait_for_end(),
                stack.temporal.wait_for_end(),
                _publish_records(directory / DNS_RECORDS, stack.dns, say),
                _keep_a_worker(directory / "worker", stack.addresses, say, on_ready),
            )
    except asyncio.CancelledError:
        say("Stopped. The data stay, for the next time.")
    except ServerError as error:
        raise StackEndedError(str(error)) from error


def _be_cancelled_by_signals(say: Callable[[str], None]) -> None:
    """The first signal stops everything in order; those that follow cannot hurry it."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            say("Stopping the worker, then the servers…")
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """All of it at once, until one part fails: then the others are ended, and its failure is this one's."""
    parts = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.gather(*parts)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


async def _keep_a_worker(
    directory: Path,
    addresses: StackAddresses,
    say: Callable[[str], None],
    on_ready: Callable[[StackAddresses, WatchedAt], None],
) -> None:
    client = await client_of(addresses)
    watched_at = free_addresses()
    ready = False
    say("Starting the worker…")
    while True:
        try:
            async with worker_process(directory, addresses, watched_at) as process:
                if not ready:
                    await process.wait_until(lambda: is_worked_on(client))
                    on_ready(addresses, watched_at)
                    ready = True
                await process.wait_for_success()
            say("The worker has stopped.")
        except ServerError as error:
            say(str(error))
        await asyncio.sleep(_PAUSE_SECONDS)
        say("Starting the worker again…")


async def _publish_records(file: Path, dns: DnsServer, say: Callable[[str], None]) -> None:
    """The records of the file are those that the DNS server answers with, as soon as it is saved."""
    published = ""
    while True:
        text = _contents(file)
        if text != published:
            published = text
            dns.clear()
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip() and not _publish(line, dns):
                    say(f"{file}, line {number}: a record is written as NAME TXT VALUE or NAME CNAME VALUE.")
        await asyncio.sleep(_LOOK_SECONDS)


def _contents(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # there is none yet
        return ""


def _publish(line: str, dns: DnsServer) -> bool:
    """Whether the line is a record, as `worksub verify-domain` shows them."""
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
    except ValueError:  # which PydanticCustomError is as well
        return False
    return True
