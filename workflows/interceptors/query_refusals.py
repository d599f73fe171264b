"""Workflow interceptor that puts the code of a refused query before its message."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleQueryInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from subscription.refusals import RefusalCode

_CODES = frozenset(map(str, RefusalCode))


class _QueryRefusalInbound(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:
        try:
            return await super().handle_query(input)
        except ApplicationError as error:
            if error.type not in _CODES:
                raise
            raise ApplicationError(
                f"{error.type}: {error.message}", *error.details, type=error.type, non_retryable=True
            ) from None


class QueryRefusalInterceptor(Interceptor):
    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_QueryRefusalInbound]:
        return _QueryRefusalInbound
