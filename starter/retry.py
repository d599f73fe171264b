"""Retries of Temporal calls that meet a workflow between two runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.rpc_errors import Outcome, outcome_of

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0
_MOST_FAILED_TASKS = 10
"""A workflow whose tasks have failed so often in a row is stuck; a new run takes up within a second."""
_PATIENCE_SECONDS = 60.0


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """The result of the call. Raises what it raises, unless the same call may succeed in a moment.

    A caller without a time limit of its own waits for a minute at most.
    """
    clock = asyncio.get_running_loop().time
    give_up_at, pause, failed_tasks = clock() + _PATIENCE_SECONDS, FIRST_PAUSE_SECONDS, 0
    while True:
        try:
            return await call()
        except (RPCError, WorkflowUpdateFailedError) as error:
            if outcome_of(error) is not Outcome.RETRY:
                raise
            failed = isinstance(error, RPCError) and error.status is RPCStatusCode.FAILED_PRECONDITION
            failed_tasks = failed_tasks + 1 if failed else 0
            if failed_tasks == _MOST_FAILED_TASKS or clock() > give_up_at:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
