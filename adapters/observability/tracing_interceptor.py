"""Tracing interceptor: each command belongs to its caller's trace, not to the workflow's first trace.

The SDK's interceptor assigns all work of a workflow to the trace that started it, and passes that trace on
with continue-as-new. A subscription lasts for years. Therefore this interceptor assigns each command to its
caller's trace, and passes no trace on to the next run.
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
    """Interceptor that creates spans for clients, workflows and activities; set it on the client."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        # Without W3C baggage, because values from callers would be stored in workflow histories.
        self.text_map_propagator = TraceContextTextMapPropagator()

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> Any:
        class Traced(_TracingInbound):
            tracing = self

        return Traced

    def step(
        self, name: str, header: Payload | None, attributes: Mapping[str, str] | None = None
    ) -> Payload | None:
        """Create a span of zero duration under the header's span; return the header for its children.

        During replay no span is created, and the children have the caller's span as their parent.
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
        except Exception:  # an invalid header from any client must not block the workflow
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
            self._record_refusal(error, input)
            raise

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        with self._step(f"HandleUpdate:{input.update}", input):
            try:
                return await super().handle_update_handler(input)
            except ApplicationError as error:
                self._record_refusal(error, input)
                raise

    def _record_refusal(self, error: ApplicationError, input: HandleUpdateInput) -> None:
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
