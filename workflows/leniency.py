"""Extra arguments to a handler are dropped: without this, one too many stalls the workflow's task."""

from typing import Any

from temporalio.worker import (
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

_QUERIES_WITH_AN_ARGUMENT = frozenset({"quote_cancellation"})


class _OneArgument(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        if not _is_dynamic(input.args):
            input.args = input.args[:1]
        await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        input.args = input.args[:1] if input.query in _QUERIES_WITH_AN_ARGUMENT else []
        return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        input.args = input.args[:1]
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        input.args = input.args[:1]
        return await super().handle_update_handler(input)


def _is_dynamic(args: Any) -> bool:
    """A dynamic handler takes the signal's name and all of its payloads."""
    return len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], list)


class OneArgumentInterceptor(Interceptor):
    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_OneArgument]:
        return _OneArgument
