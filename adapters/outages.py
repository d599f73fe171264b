"""Classification of errors: an outage that concerns all work, or an error of one item."""

import asyncpg
from temporalio.service import RPCError, RPCStatusCode

from adapters.postgres.pool import CONNECTION_ERRORS
from adapters.temporal.rpc_errors import Outcome, outcome_of

_TEMPORAL_UNAVAILABLE = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
)


def concerns_all(error: BaseException) -> bool:
    """Return whether this error would also affect every other item of a batch."""
    if isinstance(error, asyncpg.DataError | asyncpg.QueryCanceledError):
        return False  # PostgreSQL cannot store this item's value, or this item's query timed out
    if isinstance(error, RPCError):
        return error.status in _TEMPORAL_UNAVAILABLE and outcome_of(error) is Outcome.OUTAGE
    return isinstance(error, (*CONNECTION_ERRORS, asyncpg.InsufficientResourcesError))
