"""OpenTelemetry tracer whose exporter removes attributes that may contain personal data.

Only who is traced imports this. The settings are OpenTelemetry's own variables.
"""

import logging
import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, Tracer

from adapters.observability.tracing_interceptor import REFUSAL_CODE

_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
# OpenTelemetry's own 10 seconds are too long for a command that has done its work and only waits to end.
_PATIENCE_SECONDS = 2.0

# What a span may say beside its name. Update ids are not among them, for a request's is made of its fields.
_SHOWN = frozenset({"temporalWorkflowID", "temporalRunID", "temporalActivityID", REFUSAL_CODE})


def exporting_tracer(service: str) -> Tracer:
    """A tracer whose spans are sent in the background, and the last of them when the process exits.

    They are those of `service` unless OTEL_SERVICE_NAME says otherwise.
    """
    # That it tries again is no news; that it gave up is.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    patience = None if any(name in os.environ for name in _TIMEOUTS) else _PATIENCE_SECONDS
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(RedactingSpanExporter(OTLPSpanExporter(timeout=patience))))
    return provider.get_tracer("worksub")


class RedactingSpanExporter(SpanExporter):
    """Passes spans on without what could name a person: unknown attributes, and the words of exceptions."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_anonymous(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _anonymous(span: ReadableSpan) -> ReadableSpan:
    shown = {name: value for name, value in (span.attributes or {}).items() if name in _SHOWN}
    for event in span.events:
        if kind := (event.attributes or {}).get("exception.type"):
            shown["error.type"] = kind
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=shown,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
