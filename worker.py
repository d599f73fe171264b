"""Worker entry point: register every workflow and activity, and run until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import TypeVar

from asyncpg import UndefinedTableError
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.catalogue import CatalogueActivities
from activities.domain_verification import DomainVerificationActivities
from activities.erasure import ErasureActivities, HistoryActivities
from activities.interceptors.caller_verification import CallerInterceptor
from activities.interceptors.heartbeat import HeartbeatInterceptor
from activities.invoicing import InvoicingActivities
from activities.ledger_adjustments import LedgerAdjustmentActivities
from activities.metrics import FailureReportingInterceptor
from activities.notifications import DeliveringActivities, TellingActivities
from activities.provisioning import ProvisioningActivities
from activities.reconciliation.activities import ReconciliationActivities
from activities.retention import RetentionActivities
from activities.transitions import TransitionActivities
from adapters.attention_copy import attention_copied
from adapters.email.settings import MailServer
from adapters.observability.gauges import run_gauge_sampler
from adapters.observability.health_server import WorkerHealth, serve_health
from adapters.observability.logging import configure_logging
from adapters.observability.sdk_runtime import metrics_served, telemetry_runtime
from adapters.postgres.catalogue_repository import PublishingError, publish
from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError, Pool, create_pool, redacted_location
from adapters.postgres.worker_keys import worker_seals
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from adapters.settings import DEFAULT_CACHED_WORKFLOWS, SettingsError, WorkerSettings, load_worker_settings
from adapters.temporal.client import TASK_QUEUE, ConnectionSettingsError, connect
from adapters.temporal.encryption_keys import EncryptionSettingsError, keyring_from
from adapters.temporal.search_attributes import missing_search_attributes
from adapters.webhooks.dispatcher import CONNECTIONS, run_webhook_dispatcher
from subscription.message_authentication import Seals
from workflows.interceptors.message_authentication import SealingInterceptor
from workflows.registry import INTERCEPTORS, WORKFLOW_RUNNER, WORKFLOWS, extend_deadlock_detection

_DRAIN = timedelta(seconds=20)
_RESERVED_CONNECTIONS = 2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0

_log = logging.getLogger("worksub")

T = TypeVar("T")


def create_worker(
    client: Client,
    pool: Pool,
    seals: Seals,
    *,
    dns_resolvers: Sequence[str] = (),
    mail_server: MailServer | None = None,
    task_queue: str = TASK_QUEUE,
    allow_simulation: bool = False,
    deployment: WorkerDeploymentConfig | None = None,
    cached_workflows: int = DEFAULT_CACHED_WORKFLOWS,
) -> Worker:
    """The worker with every workflow and activity. `allow_simulation` is for simulated lives alone.

    As a version of a `deployment`, it gets no tasks until that version is current or ramping there.
    """
    workspaces = PostgresWorkspaceProvisioner(pool)
    provisioning = ProvisioningActivities(pool, workspaces, allow_simulation=allow_simulation)
    recording = TransitionActivities(pool, workspaces)
    reconciliation = ReconciliationActivities(pool, client, workspaces, seals)
    purging = RetentionActivities(pool, client)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[
            provisioning.provision_subscription,
            provisioning.issue_domain_token,
            recording.record_transition,
            recording.recall_answer,
            CatalogueActivities(pool).newer_catalogues,
            DomainVerificationActivities(dns_resolvers).look_for_proof,
            ErasureActivities(pool, workspaces).erase_subscription,
            HistoryActivities(pool, client).delete_histories,
            LedgerAdjustmentActivities(pool).adjust_ledger,
            InvoicingActivities(pool).issue_invoices,
            reconciliation.reconcile_record,
            reconciliation.reconcile_running,
            reconciliation.reconcile_closed,
            reconciliation.reconcile_adjustments,
            reconciliation.reconcile_invoices,
            reconciliation.finish_reconciliation,
            purging.purge_histories,
            purging.purge_rows,
            TellingActivities(pool).tell_notices,
            DeliveringActivities(pool, mail_server).deliver_notices,
        ],
        interceptors=[
            *INTERCEPTORS,
            SealingInterceptor(seals),
            FailureReportingInterceptor(),
            CallerInterceptor(seals),
            HeartbeatInterceptor(),
        ],
        workflow_runner=WORKFLOW_RUNNER,
        # What falls due, however many at once, leaves connections for what somebody has asked.
        max_concurrent_local_activities=max(1, pool.get_max_size() - _RESERVED_CONNECTIONS),
        deployment_config=deployment,
        graceful_shutdown_timeout=_DRAIN,
        max_cached_workflows=cached_workflows,
    )
    extend_deadlock_detection(worker)
    return worker


async def serve(settings: WorkerSettings, *, allow_simulation: bool = False) -> None:
    """Work until SIGTERM or SIGINT, then finish what was begun. Waits for servers that are not up yet.

    No setting allows simulation: a worker that serves customers has no way to.

    Raises `SettingsError` where waiting will not help.
    """
    configure_logging(settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with AsyncExitStack() as stack:
            await _work(settings, stop, stack, allow_simulation=allow_simulation)
    except _ShutdownRequestedError:
        pass
    except UndefinedTableError:
        raise SettingsError("The database is not set up yet: run `worksub setup`.") from None
    except (DatabaseError, ConnectionSettingsError, EncryptionSettingsError, PublishingError) as error:
        raise SettingsError(str(error)) from None
    _log.info("Stopped.")


async def _work(
    settings: WorkerSettings, stop: asyncio.Event, stack: AsyncExitStack, *, allow_simulation: bool
) -> None:
    health = await _health(settings, stack)
    runtime = await _runtime(settings, stack)
    client = await _with_timeout(
        "Temporal", partial(connect, service="worksub-worker", runtime=runtime), stop
    )
    await _with_timeout("Temporal", partial(_check_namespace, client), stop)
    if keyring := keyring_from(os.environ):
        _log.info(f"What Temporal keeps is encrypted with the key {keyring.keys[0].id}.")
    health.client = client
    _log.info(
        f"Connected to Temporal at {client.service_client.config.target_host}, namespace {client.namespace}."
    )
    pool = await _with_timeout(
        "PostgreSQL",
        lambda: stack.enter_async_context(create_pool(settings.database_url, "worksub_worker")),
        stop,
    )
    health.pool = pool
    _log.info(f"Connected to PostgreSQL at {redacted_location(settings.database_url)}.")
    if await _with_timeout("PostgreSQL", partial(publish, pool, settings.catalogue), stop):
        _log.info(f"Published catalogue version {settings.catalogue.version}.")
    mail_server = settings.mail_server
    if mail_server:
        _log.info(f"Notices are sent by {mail_server.address}, as {mail_server.sender.addr_spec}.")
    await stack.enter_async_context(attention_copied(pool, client))
    if settings.metrics_address:
        await stack.enter_async_context(run_gauge_sampler(pool, client, runtime.metric_meter))
    sending = create_pool(settings.database_url, "worksub_worker", connections=CONNECTIONS)
    await stack.enter_async_context(
        run_webhook_dispatcher(await stack.enter_async_context(sending), anywhere=settings.webhooks_anywhere)
    )
    async with create_worker(
        client,
        pool,
        await _with_timeout("PostgreSQL", partial(worker_seals, pool), stop),
        dns_resolvers=settings.dns_resolvers,
        mail_server=mail_server,
        allow_simulation=allow_simulation,
        deployment=settings.deployment,
        cached_workflows=settings.cached_workflows,
    ) as health.worker:
        _log.info(f"Working on task queue {TASK_QUEUE}; stop with Ctrl-C or SIGTERM.")
        if settings.deployment:
            _log.info(_deployment_message(settings.deployment.version))
        await stop.wait()
        health.stopping = True
        _log.info("Stopping: finishing what was begun.")


async def _health(settings: WorkerSettings, stack: AsyncExitStack) -> WorkerHealth:
    health, address = WorkerHealth(), settings.health_address
    if address:
        try:
            await stack.enter_async_context(serve_health(address.host, address.port, health))
        except OSError as error:
            raise SettingsError(
                f"WORKSUB_HEALTH_ADDRESS: nothing can listen on {address}: {error.strerror}."
            ) from None
        _log.info(f"Health at http://{address}/readyz.")
    return health


async def _runtime(settings: WorkerSettings, stack: AsyncExitStack) -> Runtime:
    address = settings.metrics_address
    if address is None:
        return telemetry_runtime(None)
    try:
        runtime = await stack.enter_async_context(metrics_served(address.host, address.port))
    except OSError as error:
        raise SettingsError(
            f"WORKSUB_METRICS_ADDRESS: nothing can listen on {address}: {error.strerror}."
        ) from None
    _log.info(f"Metrics at http://{address}/metrics.")
    return runtime


class _ShutdownRequestedError(Exception):
    """The signal to stop came while a server was still waited for."""


async def _with_timeout(server: str, attempt: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T:
    """The attempt's result as soon as the server answers; says why it waits, at growing intervals."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except (RuntimeError, RPCError, *CONNECT_ERRORS) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            _log.info(f"Waiting for {server}: {reason}")
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            raise _ShutdownRequestedError


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


def _deployment_message(version: WorkerDeploymentVersion) -> str:
    return (
        f"Build {version.build_id} of deployment {version.deployment_name}: "
        "it gets work while Temporal has it as the current or the ramping version."
    )


def main() -> int:
    """Run the worker; the exit code is 0 after an orderly stop, 2 for a setting that is wrong."""
    try:
        asyncio.run(serve(load_worker_settings(os.environ)))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
