"""Refusals on their way from a workflow to whoever asked."""

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from subscription.refusals import Refused


def refusal_in(error: WorkflowUpdateFailedError | WorkflowFailureError) -> Refused:
    """The refusal that the workflow raised; what is not one of ours is passed on as it is."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Refused.model_validate(cause.details[0])
    raise error
