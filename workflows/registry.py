"""Registry of workflows, interceptors and the workflow runner, shared by workers and replayers."""

import re
from importlib.metadata import version

from temporalio.converter import DataConverter
from temporalio.runtime import Runtime
from temporalio.worker import Interceptor, Replayer, UnsandboxedWorkflowRunner, Worker

from adapters.temporal.data_converter import data_converter
from workflows.adjustment import AdjustmentWorkflow
from workflows.bulk import BulkWorkflow
from workflows.interceptors.argument_trimming import ArgumentTrimmingInterceptor
from workflows.interceptors.current_details import CurrentDetailsInterceptor
from workflows.interceptors.metrics import MetricsInterceptor
from workflows.interceptors.query_refusals import QueryRefusalInterceptor
from workflows.invoicing import InvoicesWorkflow
from workflows.notifications import NoticesWorkflow
from workflows.reconciliation import ReconcileWorkflow
from workflows.retention import PurgeWorkflow
from workflows.subscription import SubscriptionWorkflow

WORKFLOWS: tuple[type, ...] = (
    SubscriptionWorkflow,
    AdjustmentWorkflow,
    InvoicesWorkflow,
    ReconcileWorkflow,
    PurgeWorkflow,
    NoticesWorkflow,
    BulkWorkflow,
)

INTERCEPTORS: tuple[Interceptor, ...] = (
    ArgumentTrimmingInterceptor(),
    QueryRefusalInterceptor(),
    CurrentDetailsInterceptor(),
    MetricsInterceptor(),
)

# The sandbox would double the cost of every workflow task. Tests replace its checks: tests/unit/workflows
# inspects the imports and calls of workflow code, and tests/replay compares its commands.
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()


LONGEST_TASK_SECONDS = 60
"""The worker treats a workflow task that computes for longer as deadlocked."""


def extend_deadlock_detection(worker: Worker) -> None:
    """Let a workflow task of this worker compute for up to LONGEST_TASK_SECONDS; the SDK's bound is 2 s.

    The server delivers up to 10,000 buffered signals in one task, and the SDK alone needs more than two
    seconds to dispatch them on a busy machine. The task would then fail and be retried forever. The SDK has
    no setting for the bound; its debug mode lifts it, but runs workflow tasks in the event loop, which would
    stop heartbeats and health checks.
    """
    # Private: tests/integration/commands/test_floods.py fails if an upgrade of the SDK renames it.
    assert worker._workflow_worker is not None
    worker._workflow_worker._deadlock_timeout_seconds = LONGEST_TASK_SECONDS


def replayer(
    *extra_interceptors: Interceptor, converter: DataConverter | None = None, runtime: Runtime | None = None
) -> Replayer:
    """Return a replayer with the workflows and interceptors of a worker, plus `extra_interceptors`.

    `converter` is the data converter of the client that read the histories; the default comes from the
    environment.
    """
    return Replayer(
        workflows=WORKFLOWS,
        workflow_runner=WORKFLOW_RUNNER,
        debug_mode=True,  # without deadlock detection: see `extend_deadlock_detection`
        interceptors=(*INTERCEPTORS, *extra_interceptors),
        data_converter=converter or data_converter(),
        runtime=runtime,
        build_id=version("worksub"),  # the default is a hash of every imported module
    )


def replay_failure_reason(failure: Exception) -> str:
    """Return the message of a replay failure, without the text that the SDK adds around it."""
    message = re.search(r'message: "((?:[^"\\]|\\.)*)"', str(failure))
    return message[1] if message else str(failure)
