"""The card in Temporal's UI as of the moment at which somebody looks.

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
class ShowsACard(Protocol):
    def card_of_now(self) -> str: ...


class _CardOfNow(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:
        answer = await super().handle_query(input)
        looked_at = workflow.instance()
        if isinstance(answer, WorkflowMetadata) and isinstance(looked_at, ShowsACard):
            answer.current_details = looked_at.card_of_now()
        return answer


class CardInterceptor(Interceptor):
    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_CardOfNow]:
        return _CardOfNow
