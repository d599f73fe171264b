"""Classification of failed Temporal calls: retry, refusal or outage."""

from enum import StrEnum

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from subscription.refusals import RefusalCode

_UPDATE_ABORTED_MESSAGE = "workflow update was aborted"
"""Text of an UNAVAILABLE error that is no outage: continue-as-new has aborted the update."""
_TOO_LARGE = "larger than max"
"""Text of a RESOURCE_EXHAUSTED error that is permanent: the message itself is too large."""
_INTERRUPTED_TYPE = "AcceptedUpdateCompletedWorkflow"
"""Failure type of an update whose workflow completed or was terminated during the update."""


class Outcome(StrEnum):
    """Classification of a failed call."""

    RETRY = "RETRY"
    """The same call may succeed soon: too many concurrent calls, or continue-as-new interrupted it."""
    REFUSED = "REFUSED"
    """Repeating the call fails again, because of its arguments."""
    OUTAGE = "OUTAGE"
    """Temporal is unavailable or refuses access; an operator must intervene."""


_BY_STATUS = {
    RPCStatusCode.OK: Outcome.OUTAGE,
    RPCStatusCode.CANCELLED: Outcome.OUTAGE,
    RPCStatusCode.UNKNOWN: Outcome.OUTAGE,
    RPCStatusCode.INVALID_ARGUMENT: Outcome.REFUSED,
    RPCStatusCode.DEADLINE_EXCEEDED: Outcome.OUTAGE,
    RPCStatusCode.NOT_FOUND: Outcome.REFUSED,
    RPCStatusCode.ALREADY_EXISTS: Outcome.REFUSED,
    RPCStatusCode.PERMISSION_DENIED: Outcome.OUTAGE,
    RPCStatusCode.RESOURCE_EXHAUSTED: Outcome.RETRY,
    # "Unexpected workflow task failure": a call arrived while a run continued as new. A workflow whose tasks
    # keep failing raises the same error, so callers limit their retries.
    RPCStatusCode.FAILED_PRECONDITION: Outcome.RETRY,
    RPCStatusCode.ABORTED: Outcome.RETRY,
    RPCStatusCode.OUT_OF_RANGE: Outcome.REFUSED,
    RPCStatusCode.UNIMPLEMENTED: Outcome.OUTAGE,
    RPCStatusCode.INTERNAL: Outcome.OUTAGE,
    RPCStatusCode.UNAVAILABLE: Outcome.OUTAGE,
    RPCStatusCode.DATA_LOSS: Outcome.OUTAGE,
    RPCStatusCode.UNAUTHENTICATED: Outcome.OUTAGE,
}


def outcome_of(error: RPCError | WorkflowUpdateFailedError) -> Outcome:
    """Classify a failed call, or the failure of an executed update."""
    if isinstance(error, WorkflowUpdateFailedError):
        return _outcome_of_update(error)
    message = error.message.lower()
    match error.status:
        case RPCStatusCode.UNAVAILABLE if _UPDATE_ABORTED_MESSAGE in message:
            return Outcome.RETRY
        case RPCStatusCode.FAILED_PRECONDITION if is_paused(error):
            return Outcome.OUTAGE  # until an operator unpauses the workflow
        case RPCStatusCode.RESOURCE_EXHAUSTED if _TOO_LARGE in message:
            return Outcome.REFUSED
        case RPCStatusCode.NOT_FOUND if "namespace" in message:
            return Outcome.OUTAGE
    return _BY_STATUS[error.status]


def is_paused(error: RPCError) -> bool:
    """Return whether the call was refused because an operator has paused the workflow."""
    return error.status is RPCStatusCode.FAILED_PRECONDITION and "paused" in error.message.lower()


def _outcome_of_update(error: WorkflowUpdateFailedError) -> Outcome:
    kind = error.cause.type if isinstance(error.cause, ApplicationError) else None
    return Outcome.RETRY if kind in (_INTERRUPTED_TYPE, RefusalCode.TRY_AGAIN) else Outcome.REFUSED
