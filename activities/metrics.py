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

_log = logging.getLogger(__name__)


def count_recorded_events(subscription_id: str, first_sequence: int, events: Sequence[Event]) -> None:
    """Count and log events, after the transaction that wrote them is committed."""
    if not activity.in_activity():  # called without a worker, for example by a test
        return
    meter = activity.metric_meter()
    transitions = meter.create_counter("worksub_transitions", "Lifecycle events written")
    lines = meter.create_counter("worksub_ledger_lines", "Ledger lines posted")
    for sequence, event in enumerate(events, start=first_sequence):
        transitions.add(1, {"event": event.event})
        for line in event.lines:
            lines.add(1, {"kind": line.kind})
        _log.info(
            "event recorded",
            extra={"fields": {**_log_fields(subscription_id), "sequence": sequence, "event": event.event}},
        )


def count_failure(error: Exception) -> None:
    """Count a failure. One activity attempt may have several, because a batch has several members."""
    failures = activity.metric_meter().create_counter(
        "worksub_effect_failures", "Failed activity attempts, which Temporal retries"
    )
    failures.add(1, {"error": error_type(error)})


def _report_failure(error: Exception) -> None:
    """Count and log a failed attempt. Temporal retries it after a pause."""
    info = activity.info()
    count_failure(error)
    traceback = error.__traceback__ and error.__traceback__.tb_next
    _log.warning(
        "attempt failed",
        exc_info=(type(error), error, traceback),
        extra={"fields": _log_fields(subscription_id_of(info.workflow_id or ""))},
    )


def _log_fields(subscription_id: str | None) -> dict[str, Any]:
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
                _report_failure(error)
            raise


def _is_expected(error: Exception) -> bool:
    return isinstance(error, ApplicationError) and error.category is ApplicationErrorCategory.BENIGN


class FailureReportingInterceptor(Interceptor):
    """Count and log failed attempts. A benign error, which only requests a later check, does not count."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _FailureReportingInbound(next)
