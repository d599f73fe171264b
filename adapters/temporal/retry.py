"""Retries, with exponential backoff, of Temporal calls that continue-as-new interrupts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.rpc_errors import Outcome, outcome_of

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0
_MAX_FAILED_TASKS = 10
"""A workflow with so many consecutive failed tasks is blocked; a new run would have started by then."""
_TIMEOUT_SECONDS = 60.0


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """Execute a call and return its result; retry temporary errors with exponential backoff.

    Other errors are raised. Without a timeout of the caller, the retries end after one minute.
    """
    clock = asyncio.get_running_loop().time
    give_up_at, pause, failed_tasks = clock() + _TIMEOUT_SECONDS, FIRST_PAUSE_SECONDS, 0
    while True:
        try:
            return await call()
        except (RPCError, WorkflowUpdateFailedError) as error:
            if outcome_of(error) is not Outcome.RETRY:
                raise
            task_failed = isinstance(error, RPCError) and error.status is RPCStatusCode.FAILED_PRECONDITION
            failed_tasks = failed_tasks + 1 if task_failed else 0
            if failed_tasks == _MAX_FAILED_TASKS or clock() > give_up_at:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
