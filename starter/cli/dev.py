"""`worksub dev`: the whole service on this machine, until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from starter.cli.health import is_worked_on
from starter.cli.services import client_of
from starter.cli.worker_process import worker_process
from starter.embedded.server import ServerError
from starter.embedded.stack import EmbeddedStack, StackAddresses
from starter.setup import set_up
from subscription.catalogue import Catalogue

_PAUSE_SECONDS = 1.0


async def run_dev(
    directory: Path,
    catalogue: Catalogue,
    *,
    say: Callable[[str], None],
    on_ready: Callable[[StackAddresses], None],
) -> None:
    """Run Temporal, PostgreSQL, DNS and the worker on the data in `directory` until SIGTERM or SIGINT.

    Raises `StackError` if the servers do not start, `PublishingError` or `DatabaseError` if the catalogue or
    the database does not fit.
    """
    _be_cancelled_by_signals()
    try:
        async with EmbeddedStack(
            directory, search_attributes={}, prefer_usual_ports=True, on_progress=say
        ) as stack:
            say("Setting up the database and the namespace…")
            await set_up(await client_of(stack.addresses), stack.addresses.database_url, catalogue)
            await _keep_a_worker(directory / "worker", stack.addresses, say, on_ready)
    except asyncio.CancelledError:
        say("Stopped. The data stay, for the next time.")


def _be_cancelled_by_signals() -> None:
    """The first signal stops everything in order; those that follow cannot hurry it."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


async def _keep_a_worker(
    directory: Path,
    addresses: StackAddresses,
    say: Callable[[str], None],
    on_ready: Callable[[StackAddresses], None],
) -> None:
    client = await client_of(addresses)
    ready = False
    say("Starting the worker…")
    while True:
        async with worker_process(directory, addresses) as process:
            try:
                if not ready:
                    await process.wait_until(lambda: is_worked_on(client))
                    on_ready(addresses)
                    ready = True
                await process.wait_for_success()
                say("The worker has stopped.")
            except ServerError as error:
                say(str(error))
        await asyncio.sleep(_PAUSE_SECONDS)
        say("Starting the worker again…")
