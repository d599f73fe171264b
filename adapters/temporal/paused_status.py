"""Support for the workflow status PAUSED, which the SDK does not know."""

from temporalio.client import WorkflowExecutionStatus

PAUSED = 8
"""WORKFLOW_EXECUTION_STATUS_PAUSED of Temporal's API."""


def read_paused_as_running() -> None:
    """Let the SDK read the status PAUSED as RUNNING.

    Otherwise describing or listing one paused workflow raises ValueError, which would stop every job and
    list that meets it.
    """

    def missing(cls: type[WorkflowExecutionStatus], value: object) -> WorkflowExecutionStatus | None:
        return WorkflowExecutionStatus.RUNNING if value == PAUSED else None

    WorkflowExecutionStatus._missing_ = classmethod(missing)  # type: ignore[method-assign, assignment]
