"""Support for the workflow status PAUSED, which the SDK does not define."""

from temporalio.client import WorkflowExecutionStatus

PAUSED = 8
"""WORKFLOW_EXECUTION_STATUS_PAUSED of Temporal's API."""


def read_paused_as_running() -> None:
    """Make the SDK decode the status PAUSED as RUNNING.

    Otherwise describing or listing a paused workflow raises ValueError, and one paused workflow would break
    every job and list that includes it.
    """

    def missing(cls: type[WorkflowExecutionStatus], value: object) -> WorkflowExecutionStatus | None:
        return WorkflowExecutionStatus.RUNNING if value == PAUSED else None

    WorkflowExecutionStatus._missing_ = classmethod(missing)  # type: ignore[method-assign, assignment]
