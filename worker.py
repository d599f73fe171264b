"""Worker entry point: registers every workflow and activity, and runs until SIGTERM or SIGINT."""

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version

from temporalio.client import Client
from temporalio.worker import PollerBehavior, PollerBehaviorAutoscaling, Worker, WorkerDeploymentConfig

from activities.registry import activity_interceptors, create_activities
from adapters.email.settings import MailServer
from adapters.postgres.pool import Pool
from adapters.settings_error import SettingsError
from adapters.temporal.client import TASK_QUEUE
from adapters.worker_process import WorkerConnections, run_worker_process
from adapters.worker_settings import DEFAULT_CACHED_WORKFLOWS, WorkerSettings
from subscription.message_authentication import MessageSigner
from subscription.reconciliation import ROTATION_NIGHTS
from workflows.interceptors.message_authentication import SigningInterceptor
from workflows.registry import INTERCEPTORS, WORKFLOW_RUNNER, WORKFLOWS, extend_deadlock_detection

_SHUTDOWN_TIMEOUT = timedelta(seconds=20)
_RESERVED_CONNECTIONS = 2
POLLERS = PollerBehaviorAutoscaling()
"""The number of polls follows the server's feedback, from five of each kind at the start."""


def create_worker(
    client: Client,
    pool: Pool,
    signer: MessageSigner,
    *,
    dns_resolvers: Sequence[str] = (),
    mail_server: MailServer | None = None,
    console_url: str | None = None,
    task_queue: str = TASK_QUEUE,
    allow_simulation: bool = False,
    allow_test_clock_invoices: bool = False,
    deployment: WorkerDeploymentConfig | None = None,
    cached_workflows: int = DEFAULT_CACHED_WORKFLOWS,
    rotation_nights: int = ROTATION_NIGHTS,
    pollers: PollerBehavior = POLLERS,
) -> Worker:
    """Return a worker with every workflow and activity.

    Set `allow_simulation` only for simulated subscriptions, and `allow_test_clock_invoices` only on the local
    stack. A worker with a `deployment` receives tasks only while its version is the current or the ramping
    version. The job `reconcile` queries every workflow once in `rotation_nights`.
    """
    release = deployment.version.build_id if deployment else version("worksub")
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
            console_url=console_url,
            allow_simulation=allow_simulation,
            allow_test_clock_invoices=allow_test_clock_invoices,
            release=release,
            rotation_nights=rotation_nights,
        ),
        interceptors=[*INTERCEPTORS, SigningInterceptor(signer), *activity_interceptors(signer)],
        workflow_runner=WORKFLOW_RUNNER,
        # Deadlines run as local activities. However many are due, some connections stay free for commands.
        max_concurrent_local_activities=max(1, pool.get_max_size() - _RESERVED_CONNECTIONS),
        workflow_task_poller_behavior=pollers,
        activity_task_poller_behavior=pollers,
        deployment_config=deployment,
        # Without it, the SDK would hash the code of every imported module, which takes up to two seconds.
        build_id=None if deployment else release,
        graceful_shutdown_timeout=_SHUTDOWN_TIMEOUT,
        max_cached_workflows=cached_workflows,
    )
    extend_deadlock_detection(worker)
    return worker


async def serve(
    settings: WorkerSettings, *, allow_simulation: bool = False, allow_test_clock_invoices: bool = False
) -> None:
    """Run the worker until SIGTERM or SIGINT. Raises `SettingsError`.

    No setting enables simulation or invoices by a test clock, so that a worker for customers cannot run
    simulated subscriptions, or date invoices in the future.
    """

    def create(connections: WorkerConnections) -> Worker:
        return create_worker(
            connections.client,
            connections.pool,
            connections.signer,
            dns_resolvers=settings.dns_resolvers,
            mail_server=settings.mail_server,
            console_url=settings.console_url,
            allow_simulation=allow_simulation,
            allow_test_clock_invoices=allow_test_clock_invoices,
            deployment=settings.deployment,
            cached_workflows=settings.cached_workflows,
            rotation_nights=settings.rotation_nights,
        )

    await run_worker_process(settings, create)


def main(*, allow_test_clock_invoices: bool = False) -> int:
    """Run the worker. Return 0 after an orderly shutdown, 2 for an invalid setting."""
    try:
        settings = WorkerSettings.load(os.environ)
        asyncio.run(serve(settings, allow_test_clock_invoices=allow_test_clock_invoices))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
