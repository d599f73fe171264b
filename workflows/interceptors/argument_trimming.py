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
        input.args = _one(input.args)
        await super().handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        input.args = input.args[:1] if input.query in _QUERIES_WITH_AN_ARGUMENT else []
        return await super().handle_query(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        input.args = _one(input.args)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        input.args = _one(input.args)
        return await super().handle_update_handler(input)


def _one(args: Sequence[Any]) -> Sequence[Any]:
    """The first argument; but a dynamic handler takes the caller's name for it and all of its payloads."""
    is_dynamic = len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], list)
    return args if is_dynamic else args[:1]


class ArgumentTrimmingInterceptor(Interceptor):
    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_ArgumentTrimming]:
        return _ArgumentTrimming
