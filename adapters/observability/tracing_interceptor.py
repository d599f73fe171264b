"""Tracing interceptor: each command belongs to its caller's trace, not to the workflow's first trace.

The SDK's own interceptor keeps all that a workflow ever does in the trace that started it, and hands that on
from run to run. A life lasts for years, so here a command is part of its caller's trace, and nothing is
handed on.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    HandleUpdateInput,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from adapters.observability.trace_context import current_trace_header, use_trace_header

with workflow.unsafe.imports_passed_through():
    from subscription.commands import COMMANDS

REFUSAL_CODE = "worksub.refusal_code"


class CommandTracingInterceptor(TracingInterceptor):
    """Spans of clients, workflows and activities, for the `interceptors` of a client."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        # Without the baggage that callers may carry: it would be kept in histories.
        self.text_map_propagator = TraceContextTextMapPropagator()

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> Any:
        class Traced(_TracingInbound):
            tracing = self

        return Traced

    def step(
        self, name: str, header: Payload | None, attributes: Mapping[str, str] | None = None
    ) -> Payload | None:
        """A span without duration below the one that the header names; the header for what follows from it.

        A replay makes none again, so there what follows hangs below the asker's own span.
        """
        parent = self._parent(header)
        if parent is None:
            return None
        if workflow.unsafe.is_replaying():
            return header
        info = workflow.info()
        span = self.tracer.start_span(
            name,
            parent,
            kind=SpanKind.SERVER,
            attributes={
                "temporalWorkflowID": info.workflow_id,
                "temporalRunID": info.run_id,
                **(attributes or {}),
            },
        )
        span.end()
        carrier: dict[str, str] = {}
        self.text_map_propagator.inject(carrier, set_span_in_context(span))
        return self.payload_converter.to_payloads([carrier])[0]

    def _parent(self, header: Payload | None) -> Context | None:
        if header is None:
            return None
        try:
            return self.text_map_propagator.extract(self.payload_converter.from_payloads([header])[0])
        except Exception:  # what a stranger sends must not stall the workflow
            return None


class _TracingInbound(WorkflowInboundInterceptor):
    tracing: ClassVar[CommandTracingInterceptor]

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_TracingOutbound(outbound, self.tracing))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        with self._step(f"RunWorkflow:{workflow.info().workflow_type}", input):
            return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        name = input.signal if input.signal in COMMANDS else "unknown"
        with self._step(f"HandleSignal:{name}", input):
            await super().handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        try:
            super().handle_update_validator(input)
        except ApplicationError as error:
            self._refused(error, input)
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        with self._step(f"HandleUpdate:{input.update}", input):
            try:
                return await super().handle_update_handler(input)
            except ApplicationError as error:
                self._refused(error, input)
                raise

    def _refused(self, error: ApplicationError, input: HandleUpdateInput) -> None:
        header = input.headers.get(self.tracing.header_key)
        self.tracing.step(f"RefuseUpdate:{input.update}", header, {REFUSAL_CODE: error.type or ""})

    def _step(
        self, name: str, input: ExecuteWorkflowInput | HandleSignalInput | HandleUpdateInput
    ) -> AbstractContextManager[None]:
        return use_trace_header(self.tracing.step(name, input.headers.get(self.tracing.header_key)))


class _TracingOutbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, tracing: CommandTracingInterceptor) -> None:
        super().__init__(next)
        self._tracing = tracing

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        self._trace(input)
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        self._trace(input)
        return super().start_local_activity(input)

    def _trace(self, input: StartActivityInput | StartLocalActivityInput) -> None:
        header = self._tracing.step(f"StartActivity:{input.activity}", current_trace_header())
        if header is not None:
            input.headers = {**input.headers, self._tracing.header_key: header}
