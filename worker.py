"""Worker entry point: registers every workflow and activity, and runs until SIGTERM or SIGINT."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from asyncpg import UndefinedTableError
from temporalio.client import Client
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.registry import activity_interceptors, create_activities
from adapters import startup
from adapters.email.settings import MailServer
from adapters.observability.logging import configure_logging
from adapters.postgres.catalogue_repository import PublishingError
from adapters.postgres.pool import DatabaseError, Pool
from adapters.postgres.worker_keys import worker_signer
from adapters.settings import DEFAULT_CACHED_WORKFLOWS, SettingsError, WorkerSettings, load_worker_settings
from adapters.temporal.client import TASK_QUEUE, ConnectionSettingsError
from adapters.temporal.encryption_keys import EncryptionSettingsError
from subscription.message_authentication import MessageSigner
from workflows.interceptors.message_authentication import SigningInterceptor
from workflows.registry import INTERCEPTORS, WORKFLOW_RUNNER, WORKFLOWS, extend_deadlock_detection

_SHUTDOWN_TIMEOUT = timedelta(seconds=20)
_RESERVED_CONNECTIONS = 2

_log = logging.getLogger("worker")  # __name__ is "__main__" in a worker process


def create_worker(
    client: Client,
    pool: Pool,
    signer: MessageSigner,
    *,
    dns_resolvers: Sequence[str] = (),
    mail_server: MailServer | None = None,
    task_queue: str = TASK_QUEUE,
    allow_simulation: bool = False,
    deployment: WorkerDeploymentConfig | None = None,
    cached_workflows: int = DEFAULT_CACHED_WORKFLOWS,
) -> Worker:
    """Return a worker with every workflow and activity.

    Set `allow_simulation` only for simulated subscriptions. A worker with a `deployment` receives tasks only
    while its version is the current or the ramping version.
    """
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=create_activities(
            client,
            pool,
            signer,
            dns_resolvers=dns_resolvers,
            mail_server=mail_server,
            allow_simulation=allow_simulation,
        ),
        interceptors=[*INTERCEPTORS, SigningInterceptor(signer), *activity_interceptors(signer)],
        workflow_runner=WORKFLOW_RUNNER,
        # Deadlines run as local activities. However many are due, some connections stay free for commands.
        max_concurrent_local_activities=max(1, pool.get_max_size() - _RESERVED_CONNECTIONS),
        deployment_config=deployment,
        graceful_shutdown_timeout=_SHUTDOWN_TIMEOUT,
        max_cached_workflows=cached_workflows,
    )
    extend_deadlock_detection(worker)
    return worker


async def serve(settings: WorkerSettings, *, allow_simulation: bool = False) -> None:
    """Run the worker until SIGTERM or SIGINT, then finish running tasks. Wait for unavailable servers.

    No setting enables simulation, so that a worker for customers cannot run simulated subscriptions.

    Raises `SettingsError` for a problem that waiting does not solve.
    """
    configure_logging(settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with AsyncExitStack() as stack:
            await _run(settings, stop, stack, allow_simulation=allow_simulation)
    except startup.ShutdownRequestedError:
        pass
    except UndefinedTableError:
        raise SettingsError("The database is not set up yet: run `worksub setup`.") from None
    except (DatabaseError, ConnectionSettingsError, EncryptionSettingsError, PublishingError) as error:
        raise SettingsError(str(error)) from None
    _log.info("Stopped.")


async def _run(
    settings: WorkerSettings, stop: asyncio.Event, stack: AsyncExitStack, *, allow_simulation: bool
) -> None:
    health = await startup.start_health_server(settings, stack)
    runtime = await startup.start_metrics(settings, stack)
    health.client = client = await startup.connect_to_temporal(runtime, stop)
    health.pool = pool = await startup.connect_to_postgres(settings, stack, stop)
    await startup.publish_catalogue(settings, pool, stop)
    if mail_server := settings.mail_server:
        _log.info(f"Notices are sent by {mail_server.address}, as {mail_server.sender.addr_spec}.")
    await startup.start_background_tasks(settings, client, pool, runtime, stack)
    async with create_worker(
        client,
        pool,
        await startup.retry_until_available("PostgreSQL", partial(worker_signer, pool), stop),
        dns_resolvers=settings.dns_resolvers,
        mail_server=mail_server,
        allow_simulation=allow_simulation,
        deployment=settings.deployment,
        cached_workflows=settings.cached_workflows,
    ) as health.worker:
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


def main() -> int:
    """Run the worker. Return 0 after an orderly shutdown, 2 for an invalid setting."""
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
