"""HTTP client for webhooks: signed requests, no redirects, no internal addresses.

It prevents server-side request forgery (SSRF). The URL policy rejects internal targets. The network backend
checks the resolved addresses and connects to exactly these addresses, which prevents DNS rebinding.
"""

import asyncio
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from types import TracebackType
from typing import Any, Self

import httpcore
from standardwebhooks import Webhook

from adapters.webhooks.url_policy import is_public, url_problem
from subscription.webhook_events import CloudEvent

TIMEOUT_SECONDS = 20.0
LONGEST_RETRY_AFTER = timedelta(hours=1)
"""Upper limit for the pause that an endpoint requests with `Retry-After`."""
_MAX_DNS_THREADS = 64
_MEDIA_TYPE = "application/cloudevents+json"
# Status codes that concern the endpoint or a proxy, not the event.
_ENDPOINT_UNAVAILABLE = (408, 429, 502, 503, 504)


class _CallError(Exception):
    """A failed call; `retry_after` is the pause that the endpoint has requested."""

    def __init__(self, reason: str, retry_after: timedelta = timedelta()) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class EventRejectedError(_CallError):
    """The endpoint has rejected the event with a status other than 2xx; the message contains the status."""


class EndpointUnavailableError(_CallError):
    """The endpoint cannot be reached or does not answer; the message contains the reason."""


class EndpointGoneError(_CallError):
    """The endpoint has answered 410 Gone: no further events may be sent to it."""


class _InternalAddressError(Exception):
    """The host name resolves to an address that is not public."""


class WebhookHttpClient:
    """HTTP client that sends signed webhook events.

    `allow_private_targets` disables the SSRF protection: it allows internal addresses and plain HTTP. The
    local stack needs this, because its endpoints are internal.
    """

    def __init__(self, *, allow_private_targets: bool, timeout: float = TIMEOUT_SECONDS) -> None:
        self._allow_private_targets = allow_private_targets
        self._timeout = timeout
        self._http = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=_PublicAddressBackend(allow_private_targets=allow_private_targets),
            # The dispatcher limits its calls. The pool's default of 10 would let slow calls block the others.
            max_connections=None,
            max_keepalive_connections=0,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def call(self, url: str, event: CloudEvent, secrets: Iterable[str]) -> None:
        """Send an event and return when the endpoint has accepted it. Redirects are not followed.

        Raises `EventRejectedError`, `EndpointUnavailableError` or `EndpointGoneError`.
        """
        if problem := url_problem(url, allow_private_targets=self._allow_private_targets):
            raise EndpointUnavailableError(f"the URL {problem}")
        body = event.model_dump_json(exclude_none=True)
        headers = _headers(event.id, body, secrets)
        try:
            async with (
                asyncio.timeout(self._timeout),
                # The response body is never read, so its size does not matter.
                self._http.stream("POST", url, headers=headers, content=body.encode()) as answer,
            ):
                status: int = answer.status
                retry_after = _retry_after(answer.headers)
        except TimeoutError:
            raise EndpointUnavailableError(
                f"the endpoint did not answer within {self._timeout:g} s"
            ) from None
        except _InternalAddressError:
            raise EndpointUnavailableError("the host name resolves to an internal address") from None
        except ssl.SSLError as error:
            raise EndpointUnavailableError(f"the certificate is not trusted ({error.reason})") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise EndpointUnavailableError(
                f"the endpoint cannot be reached ({type(error).__name__})"
            ) from None
        if status in _ENDPOINT_UNAVAILABLE:
            raise EndpointUnavailableError(f"the endpoint answered {status}", retry_after)
        if status == HTTPStatus.GONE:
            raise EndpointGoneError(f"the endpoint answered {status}")
        if not 200 <= status < 300:
            raise EventRejectedError(f"the endpoint answered {status}", retry_after)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta:
    """Return the pause of a `Retry-After` header (seconds or a date), limited; zero if it is unreadable."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    try:
        if value.strip().isdecimal():
            # More digits would exceed the range of `timedelta`.
            pause = timedelta(seconds=int(value.strip()[:9]))
        else:
            pause = parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return timedelta()
    return min(max(pause, timedelta()), LONGEST_RETRY_AFTER)


def _headers(event_id: str, body: str, secrets: Iterable[str]) -> dict[bytes | str, bytes | str]:
    now = datetime.now(UTC)
    return {
        "Content-Type": _MEDIA_TYPE,
        "User-Agent": "worksub",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, now, body) for secret in secrets),
    }


class _PublicAddressBackend(httpcore.AsyncNetworkBackend):
    """Network backend that connects to the validated address, to prevent SSRF through DNS rebinding.

    The host name is resolved once. A second resolution by the HTTP library could return another address.
    """

    def __init__(self, *, allow_private_targets: bool) -> None:
        self._allow_private_targets = allow_private_targets
        self._network = httpcore.AnyIOBackend()
        # A dedicated thread pool: slow DNS lookups would exhaust the event loop's default executor.
        self._dns_threads = ThreadPoolExecutor(_MAX_DNS_THREADS, thread_name_prefix="webhook-dns")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._dns_threads, partial(getaddrinfo, host, port, type=SOCK_STREAM)
            )
        except UnicodeError:  # raised for a name that cannot be encoded for DNS
            raise OSError(f"no address for port {port}") from None
        addresses = [str(result[4][0]) for result in results]
        is_private = not all(is_public(ip_address(address)) for address in addresses)
        if is_private and not self._allow_private_targets:
            raise _InternalAddressError
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or OSError(f"no address for port {port}")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
