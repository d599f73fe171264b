"""The door: the process that runs workflows and activities together. `python worker.py`."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from asyncpg import UndefinedTableError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.adjusting import AdjustingActivities
from activities.catalogues import CatalogueActivities, PublishingError, publish
from activities.database import UNREACHABLE, DatabaseError, Pool, check_url, connected, place_of
from activities.domain_ownership import DomainOwnershipActivities
from activities.erasure import ErasureActivities
from activities.histories import HistoryActivities
from activities.invoicing import InvoicingActivities
from activities.provisioning import ProvisioningActivities
from activities.reconciliation import ReconciliationActivities
from activities.recording import RecordingActivities
from activities.workspace import PostgresWorkspaces
from subscription.catalogue import Catalogue, CatalogueError, parse_catalogue
from workflows.adjustment import AdjustmentWorkflow
from workflows.connection import TASK_QUEUE, ConnectionSettingsError, connect
from workflows.invoices import InvoicesWorkflow
from workflows.leniency import OneArgumentInterceptor
from workflows.reconcile import ReconcileWorkflow
from workflows.registration import missing_search_attributes
from workflows.subscription import SubscriptionWorkflow

DEFAULT_CATALOGUE = Path(__file__).with_name("catalogue.toml")

_DRAIN = timedelta(seconds=20)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0

T = TypeVar("T")


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one sentence that says which and what would be right."""


@dataclass(frozen=True)
class Settings:
    """What the worker takes from its environment, beside Temporal's own settings."""

    database_url: str
    catalogue: Catalogue
    dns_resolvers: tuple[str, ...]


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the settings; raises `SettingsError`."""
    url = environment.get("DATABASE_URL")
    if not url:
        raise SettingsError(
            "DATABASE_URL is not set; it must say where PostgreSQL is, "
            "as in postgresql://worksub@localhost:5432/worksub."
        )
    try:
        check_url(url)
    except DatabaseError as error:
        raise SettingsError(str(error)) from None
    return Settings(
        database_url=url,
        catalogue=read_catalogue(Path(environment.get("WORKSUB_CATALOGUE") or DEFAULT_CATALOGUE)),
        dns_resolvers=_resolvers(environment.get("WORKSUB_DNS_RESOLVERS", "")),
    )


def _resolvers(setting: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in setting.split(",") if address.strip())
    for address in addresses:
        host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "53")
        try:
            ip_address(host)
            if not 1 <= int(port) <= 65535:
                raise ValueError
        except ValueError:
            raise SettingsError(
                f"WORKSUB_DNS_RESOLVERS names {address!r}, which is not an IP address, with or without a "
                "port, as in 1.1.1.1,127.0.0.1:5353."
            ) from None
    return addresses


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue file; raises `SettingsError` that names every line that is wrong."""
    try:
        return parse_catalogue(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The catalogue {path} cannot be read: {error}.") from None
    except CatalogueError as error:
        raise SettingsError(str(error)) from None


def create_worker(
    client: Client,
    pool: Pool,
    *,
    dns_resolvers: Sequence[str] = (),
    task_queue: str = TASK_QUEUE,
    allow_simulation: bool = False,
) -> Worker:
    """The worker with every workflow and activity. `allow_simulation` is for simulated lives alone."""
    workspaces = PostgresWorkspaces(pool)
    provisioning = ProvisioningActivities(pool, workspaces, allow_simulation=allow_simulation)
    recording = RecordingActivities(pool, workspaces)
    reconciliation = ReconciliationActivities(pool, client)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[SubscriptionWorkflow, AdjustmentWorkflow, InvoicesWorkflow, ReconcileWorkflow],
        activities=[
            provisioning.provision_subscription,
            provisioning.issue_domain_token,
            recording.record_transition,
            recording.recall_answer,
            CatalogueActivities(pool).newer_catalogues,
            DomainOwnershipActivities(dns_resolvers).look_for_proof,
            ErasureActivities(pool, workspaces).erase_subscription,
            HistoryActivities(pool, client).delete_histories,
            AdjustingActivities(pool).adjust_ledger,
            InvoicingActivities(pool).issue_invoices,
            reconciliation.reconcile_page,
            reconciliation.reconcile_strays,
            reconciliation.finish_reconciliation,
        ],
        interceptors=[OneArgumentInterceptor()],
        workflow_runner=SandboxedWorkflowRunner(
            # Loaded once and not anew for every run, which would cost more than all the rest of a request.
            # That they are pure and deterministic is held by tests instead.
            restrictions=SandboxRestrictions.default.with_passthrough_modules(
                "workflows", "subscription", "pydantic"
            )
        ),
        graceful_shutdown_timeout=_DRAIN,
    )


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT, then finish what was begun. Waits for servers that are not up yet.

    Raises `SettingsError` where waiting will not help.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        client = await _patiently("Temporal", connect, stop, say)
        await _patiently("Temporal", lambda: _check_namespace(client), stop, say)
        say(
            f"Connected to Temporal at {client.service_client.config.target_host}, "
            f"namespace {client.namespace}."
        )
        async with AsyncExitStack() as stack:
            pool = await _patiently(
                "PostgreSQL",
                lambda: stack.enter_async_context(connected(settings.database_url, "worksub_worker")),
                stop,
                say,
            )
            say(f"Connected to PostgreSQL at {place_of(settings.database_url)}.")
            if await publish(pool, settings.catalogue):
                say(f"Published catalogue version {settings.catalogue.version}.")
            async with create_worker(client, pool, dns_resolvers=settings.dns_resolvers):
                say(f"Working on task queue {TASK_QUEUE}; stop with Ctrl-C or SIGTERM.")
                await stop.wait()
                say("Stopping: finishing what was begun.")
    except _StoppedError:
        pass
    except UndefinedTableError:
        raise SettingsError("The database is not set up yet: run `worksub setup`.") from None
    except (DatabaseError, ConnectionSettingsError, PublishingError) as error:
        raise SettingsError(str(error)) from None
    say("Stopped.")


class _StoppedError(Exception):
    """The signal to stop came while a server was still waited for."""


async def _patiently(
    server: str, attempt: Callable[[], Awaitable[T]], stop: asyncio.Event, say: Callable[[str], None]
) -> T:
    """The attempt's result as soon as the server answers; says why it waits, at growing intervals."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (RuntimeError, RPCError, *UNREACHABLE) as error:
            say(f"Waiting for {server}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            raise _StoppedError


async def _check_namespace(client: Client) -> None:
    try:
        missing = await missing_search_attributes(client)
    except RPCError as error:
        if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
            raise SettingsError(
                f"Temporal does not let us into namespace {client.namespace}: {error.message}. "
                "Check TEMPORAL_NAMESPACE and the credentials."
            ) from None
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise SettingsError(
            f"Temporal has no namespace {client.namespace}: create it, or set TEMPORAL_NAMESPACE to another."
        ) from None
    if missing:
        raise SettingsError(
            f"Namespace {client.namespace} lacks search attributes ({', '.join(missing)}): "
            "run `worksub setup`."
        )


def main() -> int:
    """Run the worker; the exit code is 0 after an orderly stop, 2 for a setting that is wrong."""
    try:
        asyncio.run(serve(settings_from(os.environ), lambda line: print(line, flush=True)))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
