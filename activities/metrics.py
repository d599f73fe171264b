"""Metrics and log lines of activities: recorded events and failed attempts. Contains no personal data."""

import logging
from collections.abc import Sequence
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from adapters.observability.logging import error_type
from subscription.events import Event
from subscription.ids import subscription_id_of

_log = logging.getLogger("worksub")


def recorded(subscription_id: str, first_sequence: int, events: Sequence[Event]) -> None:
    """To be called once a transaction that wrote these events is committed."""
    if not activity.in_activity():  # called by hand, without a worker whose log and metrics these are
        return
    meter = activity.metric_meter()
    transitions = meter.create_counter("worksub_transitions", "Events recorded in the lives of subscriptions")
    lines = meter.create_counter("worksub_ledger_lines", "Lines posted to ledgers")
    for sequence, event in enumerate(events, start=first_sequence):
        transitions.add(1, {"event": event.event})
        for line in event.lines:
            lines.add(1, {"kind": line.kind})
        _log.info(
            "event recorded",
            extra={"fields": {**_who(subscription_id), "sequence": sequence, "event": event.event}},
        )


def count_failure(error: Exception) -> None:
    """Count the failed attempt at an effect, of which the activity may have had several."""
    failures = activity.metric_meter().create_counter(
        "worksub_effect_failures", "Attempts at effects that failed, and are made again"
    )
    failures.add(1, {"error": error_type(error)})


def _failed(error: Exception) -> None:
    """An attempt failed; Temporal makes the next one after a pause."""
    info = activity.info()
    count_failure(error)
    came_through = error.__traceback__ and error.__traceback__.tb_next
    _log.warning(
        "attempt failed",
        exc_info=(type(error), error, came_through),
        extra={"fields": _who(subscription_id_of(info.workflow_id or ""))},
    )


def _who(subscription_id: str | None) -> dict[str, Any]:
    info = activity.info()
    return {
        "subscription_id": subscription_id,
        "run_id": info.workflow_run_id,
        "activity": info.activity_type,
        "attempt": info.attempt,
    }


class _FailureReportingInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except Exception as error:
            if not _is_expected(error):
                _failed(error)
            raise


def _is_expected(error: Exception) -> bool:
    return isinstance(error, ApplicationError) and error.category is ApplicationErrorCategory.BENIGN


class FailureReportingInterceptor(Interceptor):
    """Counts and logs the attempts that failed. What is only looked at again later has not failed."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _FailureReportingInbound(next)
