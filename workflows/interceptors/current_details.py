"""Workflow interceptor that computes a workflow's current details at query time.

A life sleeps for weeks, and what is due so far grows by the day: the card of its last step would be old.
"""

from typing import Any, Protocol, runtime_checkable

from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.worker import (
    HandleQueryInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


@runtime_checkable
class HasCurrentDetails(Protocol):
    def card_of_now(self) -> str: ...


class _CurrentDetailsInbound(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:
        answer = await super().handle_query(input)
        looked_at = workflow.instance()
        if isinstance(answer, WorkflowMetadata) and isinstance(looked_at, HasCurrentDetails):
            answer.current_details = looked_at.card_of_now()
            _offer_no_other_names(answer)
        return answer


def _offer_no_other_names(metadata: WorkflowMetadata) -> None:
    """The handlers of names that nobody knows have none, and would be empty lines to choose from."""
    for definitions in (metadata.definition.signal_definitions, metadata.definition.update_definitions):
        for each in [each for each in definitions if not each.name]:
            definitions.remove(each)


class CurrentDetailsInterceptor(Interceptor):
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[_CurrentDetailsInbound]:
        return _CurrentDetailsInbound
