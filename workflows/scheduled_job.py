"""Shared helpers of scheduled workflows: input parsing, scheduled date, paged activities."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from subscription.business_calendar import day_of
    from subscription.model import Frozen, Wire
    from subscription.refusals import RefusalCode, join_problems
    from subscription.validation import parse_strict, problems_from

_SCHEDULED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")

_ONE_PAGE = timedelta(minutes=10)
_HEARTBEAT_TIMEOUT = timedelta(seconds=60)
_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5))

T = TypeVar("T", bound=Wire)
Argument = TypeVar("Argument", bound=Frozen)
Result = TypeVar("Result")


def read_argument(model: type[T], argument: Any) -> T:
    """Return the parsed argument of a job; a missing argument counts as empty.

    An invalid argument fails the run. The error message lists the problems.
    """
    try:
        return parse_strict(model, {} if argument is None else argument)
    except ValidationError as error:
        raise ApplicationError(
            join_problems(problems_from(error)),
            type=RefusalCode.INVALID_ARGUMENT,
            non_retryable=True,
        ) from None


def scheduled_day() -> date:
    """Return the business date for which this run was scheduled; the start date if started manually."""
    info = workflow.info()
    return day_of(info.typed_search_attributes.get(_SCHEDULED_AT) or info.start_time)


async def execute_page(
    stub: Callable[[Argument], Awaitable[Result]], argument: Argument, summary: str
) -> Result:
    """Return the result of an activity that processes one page; retry until it succeeds."""
    return await workflow.execute_activity(
        stub,
        argument,
        start_to_close_timeout=_ONE_PAGE,
        heartbeat_timeout=_HEARTBEAT_TIMEOUT,
        retry_policy=_RETRIES,
        summary=summary,
    )
