"""Workflow interceptor that computes a workflow's current details at query time.

A subscription sleeps for weeks, and the amount due grows every day. Details set at the last transition would
be outdated.
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
    def current_details(self) -> str: ...


class _CurrentDetailsInbound(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:
        result = await super().handle_query(input)
        instance = workflow.instance()
        if isinstance(result, WorkflowMetadata) and isinstance(instance, HasCurrentDetails):
            result.current_details = instance.current_details()
            _remove_dynamic_handlers(result)
        return result


def _remove_dynamic_handlers(metadata: WorkflowMetadata) -> None:
    """Remove the dynamic handlers: they have no name and would be empty entries in the Web UI's menus."""
    for definitions in (metadata.definition.signal_definitions, metadata.definition.update_definitions):
        for definition in [definition for definition in definitions if not definition.name]:
            definitions.remove(definition)


class CurrentDetailsInterceptor(Interceptor):
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[_CurrentDetailsInbound]:
        return _CurrentDetailsInbound
