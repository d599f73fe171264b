"""Workflow metrics: refusals and deadline lateness. Nothing is emitted during replay."""

import logging
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from subscription.events import Event
    from subscription.ids import subscription_id_of
    from subscription.refusals import RefusalCode

_log = logging.getLogger(__name__)


def record_deadline_lateness(event: Event, late: timedelta) -> None:
    """Record the delay between a deadline and its processing; zero if a command processed it early."""
    lateness = workflow.metric_meter().create_histogram_timedelta(
        "worksub_deadline_lateness", "Delay between a deadline and its processing", "s"
    )
    lateness.record(max(late, timedelta(0)), {"event": event.event})


def count_refusal(command: str, code: str, message_type: Literal["UPDATE", "SIGNAL"], times: int = 1) -> None:
    """Count and log refusals of a command with this code."""
    refusals = workflow.metric_meter().create_counter("worksub_refusals", "Refused commands")
    refusals.add(times, {"command": command, "code": code, "message_type": message_type})
    if not workflow.unsafe.is_replaying():
        info = workflow.info()
        _log.info(
            "command refused",
            extra={
                "fields": {
                    "subscription_id": subscription_id_of(info.workflow_id),
                    "run_id": info.run_id,
                    "command": command,
                    "code": code,
                    "message_type": message_type,
                    "times": times if times > 1 else None,
                }
            },
        )


class _MetricsInbound(WorkflowInboundInterceptor):
    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        try:
            super().handle_update_validator(input)
        except ApplicationError as error:
            _count_refused_update(input.update, error)
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        try:
            return await super().handle_update_handler(input)
        except ApplicationError as error:
            _count_refused_update(input.update, error)
            raise


def _count_refused_update(command: str, error: ApplicationError) -> None:
    """Count a refusal, except TRY_AGAIN: the client sends that command again to the next run."""
    if error.type != RefusalCode.TRY_AGAIN:
        count_refusal(command, error.type or "", "UPDATE")


class MetricsInterceptor(Interceptor):
    """Count refused updates. `SubscriptionWorkflow` counts refused signals."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_MetricsInbound]:
        return _MetricsInbound
