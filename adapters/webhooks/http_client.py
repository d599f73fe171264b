"""HTTP client for webhooks: signed requests, no redirects, no internal addresses."""

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

PATIENCE_SECONDS = 20.0
LONGEST_RETRY_AFTER = timedelta(hours=1)
"""An endpoint that asks for a longer pause is called again after this one."""
_RESOLVING_AT_ONCE = 64
_MEDIA_TYPE = "application/cloudevents+json"
# What a proxy or a server says of itself, rather than of what it was sent.
_NOT_ABOUT_THE_EVENT = (408, 429, 502, 503, 504)


class _CallFailed(Exception):  # noqa: N818
    """A call that did not succeed; `retry_after` is the pause for which the endpoint has asked."""

    def __init__(self, reason: str, retry_after: timedelta = timedelta()) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class EventRejectedError(_CallFailed):
    """The endpoint has answered, but not with 2xx; the message names the status."""


class EndpointUnavailableError(_CallFailed):
    """The endpoint cannot be reached or does not answer; the message has the reason."""


class EndpointGone(_CallFailed):
    """The endpoint has answered 410: nothing is to be sent there any more."""


class _InternalAddressError(Exception):
    """The host's name stands for an address that is not public."""


class WebhookHttpClient:
    """`anywhere` allows internal addresses and plain HTTP, as on the embedded stack, which is internal."""

    def __init__(self, *, anywhere: bool, patience: float = PATIENCE_SECONDS) -> None:
        self._anywhere = anywhere
        self._patience = patience
        self._http = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=_PublicAddressBackend(anywhere=anywhere),
            # The dispatcher bounds its calls. With the pool's default of 10, slow ones would block others.
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
        """Return when the endpoint has taken it; no redirect is followed.

        Raises `EventRejectedError` or `EndpointUnavailableError`.
        """
        if problem := url_problem(url, anywhere=self._anywhere):
            raise EndpointUnavailableError(f"its URL {problem}")
        body = event.model_dump_json(exclude_none=True)
        headers = _headers(event.id, body, secrets)
        try:
            async with (
                asyncio.timeout(self._patience),
                # What it says beside the status is not read, however much it is.
                self._http.stream("POST", url, headers=headers, content=body.encode()) as answer,
            ):
                status: int = answer.status
                retry_after = _retry_after(answer.headers)
        except TimeoutError:
            raise EndpointUnavailableError(f"it did not answer within {self._patience:g} s") from None
        except _InternalAddressError:
            raise EndpointUnavailableError("its name stands for an internal address") from None
        except ssl.SSLError as error:
            raise EndpointUnavailableError(f"its certificate is not trusted ({error.reason})") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise EndpointUnavailableError(f"it cannot be reached ({type(error).__name__})") from None
        if status in _NOT_ABOUT_THE_EVENT:
            raise EndpointUnavailableError(f"it answered {status}", retry_after)
        if status == HTTPStatus.GONE:
            raise EndpointGone(f"it answered {status}")
        if not 200 <= status < 300:
            raise EventRejectedError(f"it answered {status}", retry_after)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta:
    """Return the pause of a `Retry-After` header, in seconds or as a date, bounded; zero if unreadable."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    try:
        if value.strip().isdecimal():
            # More digits than these are out of range for `timedelta`.
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
    """Connects to the very address that was looked at, whatever the name means a moment later."""

    def __init__(self, *, anywhere: bool) -> None:
        self._anywhere = anywhere
        self._network = httpcore.AnyIOBackend()
        # Threads of its own: names that resolve slowly would fill the few that the event loop shares.
        self._resolving = ThreadPoolExecutor(_RESOLVING_AT_ONCE, thread_name_prefix="webhook-dns")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._resolving, partial(getaddrinfo, host, port, type=SOCK_STREAM)
            )
        except UnicodeError:  # raised for a name that cannot be encoded for DNS
            raise OSError(f"no address for port {port}") from None
        addresses = [str(each[4][0]) for each in found]
        if not self._anywhere and not all(is_public(ip_address(address)) for address in addresses):
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
