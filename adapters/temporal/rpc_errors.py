"""Classification of failed Temporal calls: retry, refusal or outage."""

from enum import StrEnum

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from subscription.refusals import RefusalCode

_UPDATE_DROPPED = "workflow update was aborted"
"""How a server that is not away words UNAVAILABLE: a new run has overtaken the update."""
_TOO_LARGE = "larger than max"
"""How RESOURCE_EXHAUSTED is worded where the message itself is refused, however often it is sent."""
_CUT_OFF = "AcceptedUpdateCompletedWorkflow"
"""The failure of an update whose workflow ended or was terminated while it was carried out."""


class Outcome(StrEnum):
    """What a failed call means to its caller."""

    RETRY = "RETRY"
    """The same call may succeed in a moment: too many at a time, or a new run has overtaken it."""
    REFUSED = "REFUSED"
    """The same call is answered the same, for what it says or names."""
    OUTAGE = "OUTAGE"
    """Temporal is away, or does not let us in: an operator must check."""


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
    # "Unexpected workflow task failure": something came in while a run went on in another one. It is also the
    # answer of a workflow whose tasks keep failing, so callers do not try again without end.
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
    """Classify a failed call, or the failure of an update that was carried out."""
    if isinstance(error, WorkflowUpdateFailedError):
        return _outcome_of_update(error)
    message = error.message.lower()
    match error.status:
        case RPCStatusCode.UNAVAILABLE if _UPDATE_DROPPED in message:
            return Outcome.RETRY
        case RPCStatusCode.FAILED_PRECONDITION if is_paused(error):
            return Outcome.OUTAGE  # until an operator ends the pause
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
    return Outcome.RETRY if kind in (_CUT_OFF, RefusalCode.TRY_AGAIN) else Outcome.REFUSED
