"""Workflow interceptor that drops surplus handler arguments, which would fail the workflow task."""

from collections.abc import Sequence
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


class _ArgumentTrimming(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        input.args = _trimmed(input.args)
        await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        input.args = input.args[:1] if input.query in _QUERIES_WITH_AN_ARGUMENT else []
        return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        input.args = _trimmed(input.args)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        input.args = _trimmed(input.args)
        return await super().handle_update_handler(input)


def _trimmed(args: Sequence[Any]) -> Sequence[Any]:
    """Return the first argument only. A dynamic handler takes two: the name and the list of payloads."""
    is_dynamic = len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], list)
    return args if is_dynamic else args[:1]


class ArgumentTrimmingInterceptor(Interceptor):
    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_ArgumentTrimming]:
        return _ArgumentTrimming
