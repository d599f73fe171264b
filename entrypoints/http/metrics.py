"""Prometheus metrics of an HTTP server, served on a separate address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adapters.settings import HostPort
from entrypoints.http.protocol import HttpLimits
from entrypoints.http.server import HttpServer, bind_socket
from entrypoints.http.sign_in_refusals import SignInRefusal

UNKNOWN_ROUTE = "unknown"
"""Label for all paths without a route. A label per path would let callers create time series."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DRAIN_SECONDS = 1
_LIMITS = HttpLimits(connections=32)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class HttpMetrics:
    """Metrics of one process. No caller can choose the value of a label.

    `servers` are the values of the label `server`. The counter of refused sign-ins starts at zero for each
    code, because Prometheus does not see an increase from "no series" to 1.
    """

    def __init__(self, *servers: str) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "worksub_http_requests",
            "Answered HTTP requests",
            ("server", "route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "worksub_http_request_seconds",
            "Time until the answer to an HTTP request begins",
            ("server", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._refusals = Counter(
            "worksub_sign_in_refusals", "Refused sign-ins", ("server", "code"), registry=self.registry
        )
        self._limited = Counter(
            "worksub_http_rate_limited",
            "HTTP requests refused by a rate limit",
            ("server",),
            registry=self.registry,
        )
        self._streams = Gauge("worksub_http_streams", "Open event streams", registry=self.registry)
        for server in servers:
            self._limited.labels(server)
            for code in SignInRefusal:
                self._refusals.labels(server, code)

    def count_request(
        self, *, server: str, route: str | None, method: str, status: int | None, seconds: float
    ) -> None:
        """Count a request. `status` is None if the client disconnected before the response started."""
        route, method = route or UNKNOWN_ROUTE, method if method in _METHODS else "other"
        status_class = f"{status // 100}xx" if status else "none"
        self._requests.labels(server, route, method, status_class).inc()
        self._seconds.labels(server, route).observe(seconds)
        if status == 429:
            self._limited.labels(server).inc()

    def count_refused_sign_in(self, server: str, code: SignInRefusal) -> None:
        self._refusals.labels(server, code).inc()

    def watch_streams(self, count: Callable[[], int]) -> None:
        """Report the number of open event streams at each scrape."""
        self._streams.set_function(count)

    def issuer_gauge(self) -> Gauge:
        return Gauge(
            "worksub_issuer_reachable",
            "1 if the OpenID Connect issuer answers, else 0",
            registry=self.registry,
        )


@asynccontextmanager
async def metrics_served(
    address: HostPort | None, setting: str, metrics: HttpMetrics, *, limits: HttpLimits = _LIMITS
) -> AsyncIterator[None]:
    """Serve `/metrics` for the duration of the block, if an address is configured.

    Raises `SettingsError` if the address is in use.
    """
    if address is None:
        yield
        return
    with bind_socket(address, setting) as opened:
        app = prometheus_client.make_asgi_app(metrics.registry)
        server = HttpServer(app, drain_seconds=_DRAIN_SECONDS, limits=limits)
        serving = asyncio.create_task(server.serve(sockets=[opened]))
        try:
            yield
        finally:
            server.stop()
            await serving
