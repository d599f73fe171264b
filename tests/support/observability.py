"""Observers of a worker process: metrics scraper, health probe and trace collector."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_SECONDS = 60


async def fetched(url: str) -> tuple[int, str]:
    """Return status and body of the response at a URL."""

    def fetch() -> tuple[int, str]:
        try:
            with urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def probed(url: str) -> tuple[int, dict[str, str]]:
    """Return the HTTP status of a health endpoint, and its failed checks."""
    status, body = await fetched(url)
    answer = json.loads(body)
    failed = {name: result for name, result in answer["checks"].items() if result != "ok"}
    assert answer["status"] == ("unavailable" if failed else "ok")
    return status, failed


async def scraped(url: str) -> "Scraped":
    _, body = await fetched(url)
    return in_text(body)


def in_text(text: str) -> "Scraped":
    return Scraped(text, {family.name: family for family in text_string_to_metric_families(text)})


@dataclass(frozen=True)
class Scraped:
    """The metrics that Prometheus would scrape."""

    text: str
    families: Mapping[str, Metric]

    def values(self, series: str, *, by: str = "", **labels: str) -> dict[str, float]:
        """Return the values of a time series by one of its labels, summed over the others."""
        found: dict[str, float] = {}
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == series and labels.items() <= sample.labels.items():
                    key = sample.labels.get(by, "")
                    found[key] = found.get(key, 0) + sample.value
        return found

    def value(self, series: str, **labels: str) -> float | None:
        return self.values(series, **labels).get("")

    def labels(self) -> dict[str, set[str]]:
        """Return the labels of every time series."""
        found: dict[str, set[str]] = {}
        for family in self.families.values():
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found


@dataclass(frozen=True)
class Span:
    """A received span."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: Mapping[str, str]


class Collector:
    """An OpenTelemetry collector. It keeps the spans that it receives; `received` has the raw bytes."""

    def __init__(self, address: str) -> None:
        self.endpoint = f"http://{address}"
        self.spans: list[Span] = []
        self.received = b""

    @property
    def settings(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def take(self, body: bytes) -> None:
        self.received += body
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            resource = {
                attribute.key: attribute.value.string_value for attribute in group.resource.attributes
            }
            for scope in group.scope_spans:
                self.spans += [
                    Span(
                        resource["service.name"],
                        span.name,
                        span.trace_id,
                        span.span_id,
                        span.parent_span_id,
                        {attribute.key: attribute.value.string_value for attribute in span.attributes},
                    )
                    for span in scope.spans
                ]


def received(span: ReadableSpan) -> Span:
    """Return a span of this process as a collector receives it."""
    assert span.context is not None
    return Span(
        str(span.resource.attributes["service.name"]),
        span.name,
        span.context.trace_id.to_bytes(16, "big"),
        span.context.span_id.to_bytes(8, "big"),
        span.parent.span_id.to_bytes(8, "big") if span.parent else b"",
        {name: str(value) for name, value in (span.attributes or {}).items()},
    )


def tree(spans: Sequence[Span], root: str) -> Any:
    """Return the span names of the trace with this root as nested lists, in order of arrival."""
    [first] = [span for span in spans if span.name == root and not span.parent]
    inside = [span for span in spans if span.trace == first.trace]

    def below(span: Span) -> Any:
        return [
            f"{span.service} {span.name}",
            *(below(each) for each in inside if each.parent == span.id),
        ]

    return below(first)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector in this block."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        host, port = server.server_address[:2]
        collector = Collector(f"{host!s}:{port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
