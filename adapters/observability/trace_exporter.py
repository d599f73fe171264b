"""OpenTelemetry tracer whose exporter removes attributes that may contain personal data.

Imported only when tracing is enabled. Configured by the standard OpenTelemetry environment variables.
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
# OpenTelemetry's default of 10 seconds would delay the exit of a CLI command that has already finished.
_TIMEOUT_SECONDS = 2.0

# Exported span attributes. Update IDs are excluded, because a request's update ID is derived from its fields.
_EXPORTED_ATTRIBUTES = frozenset({"temporalWorkflowID", "temporalRunID", "temporalActivityID", REFUSAL_CODE})


def exporting_tracer(service: str) -> Tracer:
    """Create a tracer that exports spans in the background, and flushes them when the process exits.

    The service name is `service` unless OTEL_SERVICE_NAME is set.
    """
    # Log only the final failure of an export, not each retry.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    timeout = None if any(name in os.environ for name in _TIMEOUTS) else _TIMEOUT_SECONDS
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(RedactingSpanExporter(OTLPSpanExporter(timeout=timeout))))
    return provider.get_tracer("worksub")


class RedactingSpanExporter(SpanExporter):
    """Exporter that removes possible personal data: unknown attributes and exception messages."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _redacted(span: ReadableSpan) -> ReadableSpan:
    attributes = {
        name: value for name, value in (span.attributes or {}).items() if name in _EXPORTED_ATTRIBUTES
    }
    for event in span.events:
        if kind := (event.attributes or {}).get("exception.type"):
            attributes["error.type"] = kind
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
