"""Activity calls: retries until success, and `NeedsAttention` after ten minutes of failures.

A short write of which the history alone decides what is written is first tried within the workflow's task,
as a local activity. That leaves one event instead of six. Should the worker die after the write and before
the task is completed, the next one comes to the same write, which then changes nothing. What a command causes
does not qualify: the task that is made again may see it later, after another, or not at all.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutError

from workflows.attention import set_needs_attention

with workflow.unsafe.imports_passed_through():
    from subscription.activity_contracts import ACTIVITIES
    from subscription.attention import effect_fails
    from subscription.model import Frozen

FAILING_FOR_LONG = timedelta(minutes=10)
"""After so long without success, an effect shows as `NeedsAttention`."""

_LOCAL_TIMEOUT = timedelta(seconds=5)
_AT_ONCE_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
_RETRY_TIMEOUT_WHEN_FAILING = timedelta(days=1)
_ONE_ATTEMPT = timedelta(seconds=60)
_HEARTBEAT_TIMEOUT = timedelta(seconds=10)
_PAUSE = timedelta(seconds=30)
_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
)


INTERACTIVE_PRIORITY = Priority(priority_key=2)
"""What somebody waits for passes in front of what falls due (3) and of the scheduled jobs."""


async def execute_local_first(
    name: str, argument: Frozen, summary: str | None = None, priority: Priority = Priority.default
) -> Any:
    """As `execute_until_success`, within this task of the workflow while the world answers at once.

    Only for what writes the same again when this task is made again, and after no longer than seconds.
    """
    _, result_type = ACTIVITIES[name]
    try:
        return await workflow.execute_local_activity(
            name,
            argument,
            result_type=result_type,
            # Less than a task may take, so that a world that is away shows, and nobody's question waits.
            schedule_to_close_timeout=_LOCAL_TIMEOUT,
            retry_policy=_AT_ONCE_RETRIES,
            summary=summary,
        )
    except FailureError:  # its last attempt's own error, which no ActivityError wraps
        return await execute_until_success(name, argument, summary, priority)


async def execute_until_success(
    name: str, argument: Frozen, summary: str | None = None, priority: Priority = Priority.default
) -> Any:
    """The result of the activity, however long it takes: what cannot work now may work later.

    `summary` is shown beside the activity's name to people who look at the history; it names nobody.
    """
    _, result_type = ACTIVITIES[name]
    failing = False
    while True:
        try:
            result = await workflow.execute_activity(
                name,
                argument,
                result_type=result_type,
                # A bound on the whole of it costs no event, where a timer beside it would cost two. Once it
                # shows, nothing hurries: an outage of weeks must not fill the history.
                schedule_to_close_timeout=_RETRY_TIMEOUT_WHEN_FAILING if failing else FAILING_FOR_LONG,
                start_to_close_timeout=_ONE_ATTEMPT,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
                summary=summary,
                priority=priority,
            )
        except ActivityError as error:
            failing = True
            set_needs_attention(effect_fails(name, _error_type(error)))
            await workflow.sleep(_PAUSE, summary=f"{name} keeps failing")
            continue
        if failing:
            set_needs_attention(None)
        return result


def _error_type(error: ActivityError) -> str:
    """Return the type of the last attempt's error, which a timeout of all attempts wraps."""
    cause: BaseException | None = error.cause
    if isinstance(cause, TimeoutError) and cause.cause is not None:
        cause = cause.cause
    return (cause.type if isinstance(cause, ApplicationError) else None) or type(cause).__name__
