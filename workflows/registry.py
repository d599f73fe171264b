"""Registry of workflows, interceptors and the workflow runner, shared by workers and replayers."""

import re

from temporalio.converter import DataConverter
from temporalio.runtime import Runtime
from temporalio.worker import Interceptor, Replayer, UnsandboxedWorkflowRunner, Worker

from adapters.temporal.data_converter import data_converter
from workflows.adjustment import AdjustmentWorkflow
from workflows.interceptors.argument_trimming import ArgumentTrimmingInterceptor
from workflows.interceptors.current_details import CurrentDetailsInterceptor
from workflows.interceptors.metrics import MetricsInterceptor
from workflows.interceptors.query_refusals import QueryRefusalInterceptor
from workflows.invoicing import InvoicesWorkflow
from workflows.notifications import NoticesDeliveryWorkflow, NoticesWorkflow
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
    NoticesDeliveryWorkflow,
)

INTERCEPTORS: tuple[Interceptor, ...] = (
    ArgumentTrimmingInterceptor(),
    QueryRefusalInterceptor(),
    CurrentDetailsInterceptor(),
    MetricsInterceptor(),
)

# A sandbox around every step would cost as much as the step. Tests check what it would check: those in
# tests/unit/workflows read what workflows import and call, and those in tests/replay what they do.
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()


LONGEST_TASK_SECONDS = 60
"""A workflow task that computes for longer is taken for a deadlock."""


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
    *watching: Interceptor, converter: DataConverter | None = None, runtime: Runtime | None = None
) -> Replayer:
    """Takes histories through these workflows as a worker would; `watching` see what they ask for.

    `converter` is that of the client which read them, by default the environment's.
    """
    return Replayer(
        workflows=WORKFLOWS,
        workflow_runner=WORKFLOW_RUNNER,
        debug_mode=True,  # without deadlock detection: see `extend_deadlock_detection`
        interceptors=(*INTERCEPTORS, *watching),
        data_converter=converter or data_converter(),
        runtime=runtime,
    )


def replay_failure_reason(failure: Exception) -> str:
    """Why a history did not replay, without what the SDK wraps around it."""
    told = re.search(r'message: "((?:[^"\\]|\\.)*)"', str(failure))
    return told[1] if told else str(failure)
