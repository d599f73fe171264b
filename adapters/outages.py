"""Classification of errors: an outage that concerns all work, or an error of one item."""

import asyncpg
from temporalio.service import RPCError, RPCStatusCode

from adapters.postgres.pool import CONNECTION_ERRORS
from adapters.temporal.rpc_errors import Outcome, outcome_of

_TEMPORAL_IS_AWAY = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
)


def concerns_all(error: BaseException) -> bool:
    """Return whether this error would meet every other member of a batch as well."""
    if isinstance(error, asyncpg.DataError | asyncpg.QueryCanceledError):
        return False  # a value that PostgreSQL cannot hold, or a query that was too slow for this member
    if isinstance(error, RPCError):
        return error.status in _TEMPORAL_IS_AWAY and outcome_of(error) is Outcome.OUTAGE
    return isinstance(error, (*CONNECTION_ERRORS, asyncpg.InsufficientResourcesError))
