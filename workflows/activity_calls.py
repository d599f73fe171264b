"""Activity calls: retries until success, and `NeedsAttention` after ten minutes of failures.

`execute_local_first` runs a local activity within the workflow task: one history event instead of six. It is
only for short writes that the workflow history determines, such as deadlines. If the worker dies between the
write and the completion of the task, the retried task performs the same write again, which is a no-op.
Commands must use a regular activity: the retried task may process a command later, after another one, or not
at all.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutError

from workflows.attention import set_needs_attention

with workflow.unsafe.imports_passed_through():
    from subscription.attention import effect_fails
    from subscription.model import Frozen

_ATTENTION_AFTER = timedelta(minutes=10)
"""An activity that fails for this long sets `NeedsAttention`."""

_LOCAL_TIMEOUT = timedelta(seconds=5)
_LOCAL_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
_RETRY_TIMEOUT_WHEN_FAILING = timedelta(days=1)
_ATTEMPT_TIMEOUT = timedelta(seconds=60)
_HEARTBEAT_TIMEOUT = timedelta(seconds=10)
_PAUSE = timedelta(seconds=30)
_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
)

INTERACTIVE_PRIORITY = Priority(priority_key=2)
"""Priority of interactive commands: ahead of deadlines (3), scheduled jobs (4) and bulk runs (5)."""
_BULK_PRIORITY_KEY = 5
_LONGEST_FAIRNESS_KEY = 64

Argument = TypeVar("Argument", bound=Frozen)
Result = TypeVar("Result")


async def execute_local_first(
    stub: Callable[[Argument], Awaitable[Result]],
    argument: Argument,
    summary: str | None = None,
    priority: Priority = Priority.default,
) -> Result:
    """Execute a local activity; on failure, fall back to `execute_until_success`.

    Use it only for writes that take seconds and that a retried workflow task repeats unchanged.
    """
    try:
        return await workflow.execute_local_activity(
            stub,
            argument,
            # Shorter than the workflow task timeout: an outage becomes visible, and queries are not blocked.
            schedule_to_close_timeout=_LOCAL_TIMEOUT,
            retry_policy=_LOCAL_RETRIES,
            summary=summary,
        )
    except FailureError:  # the error of the last attempt; a local activity does not wrap it in ActivityError
        return await execute_until_success(stub, argument, summary, priority)


async def execute_until_success(
    stub: Callable[[Argument], Awaitable[Result]],
    argument: Argument,
    summary: str | None = None,
    priority: Priority = Priority.default,
) -> Result:
    """Return the result of an activity; retry without limit, because the failure may be temporary.

    The Web UI shows `summary` beside the activity name. It must not contain personal data.
    """
    failing = False
    while True:
        try:
            result = await workflow.execute_activity(
                stub,
                argument,
                # A timeout of the activity costs no history event; a timer beside it would cost two. After
                # `NeedsAttention` is set the timeout is longer: an outage of weeks must not fill the history.
                schedule_to_close_timeout=_RETRY_TIMEOUT_WHEN_FAILING if failing else _ATTENTION_AFTER,
                start_to_close_timeout=_ATTEMPT_TIMEOUT,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
                summary=summary,
                priority=priority,
            )
        except ActivityError as error:
            failing = True
            set_needs_attention(effect_fails(stub.__name__, _error_type(error)))
            await workflow.sleep(_PAUSE, summary=f"{stub.__name__} keeps failing")
            continue
        if failing:
            set_needs_attention(None)
        return result


def bulk_priority(customer_id: str) -> Priority:
    """Return the lowest priority, with the customer as the fairness key, which has at most 64 bytes."""
    key = customer_id
    if len(key.encode()) > _LONGEST_FAIRNESS_KEY:
        key = hashlib.sha256(key.encode()).hexdigest()[:_LONGEST_FAIRNESS_KEY]
    return Priority(priority_key=_BULK_PRIORITY_KEY, fairness_key=key)


def _error_type(error: ActivityError) -> str:
    """Return the error type of the last attempt. A timeout of all attempts wraps that error."""
    cause: BaseException | None = error.cause
    if isinstance(cause, TimeoutError) and cause.cause is not None:
        cause = cause.cause
    return (cause.type if isinstance(cause, ApplicationError) else None) or type(cause).__name__
