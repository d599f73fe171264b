"""The worker process: start-up, retries while servers are unavailable, shutdown on a signal."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from asyncpg import UndefinedTableError
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from adapters.attention_copy import run_attention_copy
from adapters.email import dispatcher as notice_dispatcher
from adapters.email.notice_emails import NoticeEmails
from adapters.observability.gauges import run_gauge_sampler
from adapters.observability.health_server import WorkerHealth, serve_health
from adapters.observability.logging import configure_logging
from adapters.observability.sdk_runtime import metrics_served, telemetry_runtime
from adapters.postgres.catalogue_repository import PublishingError, publish
from adapters.postgres.pool import CONNECTION_ERRORS, DatabaseError, Pool, create_pool, redacted_location
from adapters.postgres.worker_keys import worker_signer
from adapters.settings_error import SettingsError
from adapters.temporal.client import TASK_QUEUE, connect
from adapters.temporal.search_attributes import missing_search_attributes
from adapters.webhooks.dispatcher import CONNECTIONS, run_webhook_dispatcher
from adapters.worker_settings import WorkerSettings
from subscription.message_authentication import MessageSigner

_FIRST_PAUSE, _MAX_PAUSE = 0.5, 10.0
_DATABASE_ROLE: Final = "worksub_worker"

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _ShutdownRequestedError(Exception):
    """SIGTERM or SIGINT arrived while the worker was waiting for a server."""


@dataclass(frozen=True)
class WorkerConnections:
    """Connections of a worker, and the signer of its messages."""

    client: Client
    pool: Pool
    signer: MessageSigner


async def run_worker_process(
    settings: WorkerSettings, create_worker: Callable[[WorkerConnections], Worker]
) -> None:
    """Run a worker until SIGTERM or SIGINT, then finish running tasks. Wait for unavailable servers.

    Raises `SettingsError` for a problem that waiting does not solve.
    """
    configure_logging(settings.log_format, settings.log_levels)
    # Modules live as long as the process. Otherwise each full collection would traverse them, which takes
    # more time than the objects of the work itself.
    gc.freeze()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with AsyncExitStack() as stack:
            await _run(settings, create_worker, stop, stack)
    except _ShutdownRequestedError:
        pass
    except UndefinedTableError:
        raise SettingsError("The database is not set up yet: run `worksub setup`.") from None
    except (DatabaseError, PublishingError) as error:
        raise SettingsError(str(error)) from None
    _log.info("Stopped.")


async def _run(
    settings: WorkerSettings,
    create_worker: Callable[[WorkerConnections], Worker],
    stop: asyncio.Event,
    stack: AsyncExitStack,
) -> None:
    health = await _start_health_server(settings, stack)
    runtime = await _start_metrics(settings, stack)
    health.client = client = await _connect_to_temporal(settings, runtime, stop)
    health.pool = pool = await _connect_to_postgres(settings, stack, stop)
    await _publish_catalogue(settings, pool, stop)
    if mail_server := settings.mail_server:
        _log.info(f"Notices are sent by {mail_server.address}, as {mail_server.sender.addr_spec}.")
    await _start_background_tasks(settings, client, pool, runtime, stack, stop)
    signer = await _retry_until_available("PostgreSQL", partial(worker_signer, pool), stop)
    async with create_worker(WorkerConnections(client, pool, signer)) as health.worker:
        _log.info(f"Working on task queue {TASK_QUEUE}; stop with Ctrl-C or SIGTERM.")
        if settings.deployment:
            version = settings.deployment.version
            _log.info(
                f"Build {version.build_id} of deployment {version.deployment_name}: it gets work while "
                "Temporal has it as the current or the ramping version."
            )
        await stop.wait()
        health.stopping = True
        _log.info("Stopping: waiting for running tasks.")


async def _retry_until_available(server: str, attempt: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
    """Return the result of `attempt`; retry with growing pauses while the server is unavailable.

    Each failed attempt is logged with its reason. Raises `_ShutdownRequestedError` once `stop` is set.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (RuntimeError, RPCError, *CONNECTION_ERRORS) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            _log.info(f"Waiting for {server}: {reason}")
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pause = min(pause * 2, _MAX_PAUSE)
        else:
            raise _ShutdownRequestedError


async def _start_health_server(settings: WorkerSettings, stack: AsyncExitStack) -> WorkerHealth:
    """Serve the health endpoint if an address is set; the caller fills in what it reports."""
    health, address = WorkerHealth(), settings.health_address
    if address:
        try:
            await stack.enter_async_context(serve_health(address.host, address.port, health))
        except OSError as error:
            raise _cannot_listen("WORKSUB_HEALTH_ADDRESS", str(address), error) from None
        _log.info(f"Health at http://{address}/readyz.")
    return health


async def _start_metrics(settings: WorkerSettings, stack: AsyncExitStack) -> Runtime:
    """Return the SDK runtime; serve its Prometheus metrics if an address is set."""
    address = settings.metrics_address
    if address is None:
        return telemetry_runtime(None)
    try:
        runtime = await stack.enter_async_context(metrics_served(address.host, address.port))
    except OSError as error:
        raise _cannot_listen("WORKSUB_METRICS_ADDRESS", str(address), error) from None
    _log.info(f"Metrics at http://{address}/metrics.")
    return runtime


async def _connect_to_temporal(settings: WorkerSettings, runtime: Runtime, stop: asyncio.Event) -> Client:
    """Connect to Temporal and check that the namespace is set up."""
    client = await _retry_until_available(
        "Temporal", partial(connect, settings.keyring, service="worksub-worker", runtime=runtime), stop
    )
    await _retry_until_available("Temporal", partial(_check_namespace, client), stop)
    if settings.keyring:
        _log.info(f"Payloads are encrypted with the key {settings.keyring.keys[0].id}.")
    target = client.service_client.config.target_host
    _log.info(f"Connected to Temporal at {target}, namespace {client.namespace}.")
    return client


async def _connect_to_postgres(settings: WorkerSettings, stack: AsyncExitStack, stop: asyncio.Event) -> Pool:
    """Open the connection pool of the worker."""
    pool = await _open_pool(settings, stack, stop)
    _log.info(f"Connected to PostgreSQL at {redacted_location(settings.database_url)}.")
    return pool


async def _open_pool(
    settings: WorkerSettings, stack: AsyncExitStack, stop: asyncio.Event, connections: int = 10
) -> Pool:
    """Open a connection pool; wait while PostgreSQL is unavailable."""

    def attempt() -> Awaitable[Pool]:
        pool = create_pool(settings.database_url, _DATABASE_ROLE, connections=connections)
        return stack.enter_async_context(pool)

    return await _retry_until_available("PostgreSQL", attempt, stop)


async def _publish_catalogue(settings: WorkerSettings, pool: Pool, stop: asyncio.Event) -> None:
    """Publish the catalogue of the settings if its version is new."""
    if await _retry_until_available("PostgreSQL", partial(publish, pool, settings.catalogue), stop):
        _log.info(f"Published catalogue version {settings.catalogue.version}.")


async def _start_background_tasks(
    settings: WorkerSettings,
    client: Client,
    pool: Pool,
    runtime: Runtime,
    stack: AsyncExitStack,
    stop: asyncio.Event,
) -> None:
    """Start the copy of `NeedsAttention`, the gauge sampler, and the dispatchers of webhooks and notices."""
    await stack.enter_async_context(run_attention_copy(pool, client))
    if settings.metrics_address:
        await stack.enter_async_context(
            run_gauge_sampler(
                pool, client, runtime.metric_meter, sends_notices=settings.mail_server is not None
            )
        )
    webhook_pool = await _open_pool(settings, stack, stop, CONNECTIONS)
    await stack.enter_async_context(
        run_webhook_dispatcher(webhook_pool, allow_private_targets=settings.allow_private_webhook_targets)
    )
    if settings.mail_server:
        notice_pool = await _open_pool(settings, stack, stop, notice_dispatcher.CONNECTIONS)
        await stack.enter_async_context(
            notice_dispatcher.run_notice_dispatcher(
                notice_pool, settings.mail_server, NoticeEmails(settings.console_url)
            )
        )


async def _check_namespace(client: Client) -> None:
    """Raise `SettingsError` if the namespace is missing, not accessible or not set up."""
    try:
        missing = await missing_search_attributes(client)
    except RPCError as error:
        if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
            raise SettingsError(
                f"Temporal denies access to namespace {client.namespace}: {error.message}. "
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


def _cannot_listen(setting: str, address: str, error: OSError) -> SettingsError:
    return SettingsError(f"{setting}: cannot listen on {address}: {error.strerror}.")
