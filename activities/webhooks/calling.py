"""Calling an endpoint: signed by Standard Webhooks, at an address that was looked at, and never for long."""

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from socket import SOCK_STREAM
from types import TracebackType
from typing import Any, Self

import httpcore
from standardwebhooks import Webhook

from subscription.webhooks import CloudEvent, is_public, url_problem

PATIENCE_SECONDS = 10.0
_MEDIA_TYPE = "application/cloudevents+json"
# What a proxy or a server says of itself, rather than of what it was sent.
_NOT_ABOUT_THE_EVENT = (408, 429, 502, 503, 504)


class EventRefused(Exception):  # noqa: N818
    """The endpoint has answered, and not with 2xx; the message says with what."""


class EndpointAway(Exception):  # noqa: N818
    """The endpoint cannot be reached or does not answer; the message says why, in words of ours."""


class _InternalAddressError(Exception):
    """The host's name stands for an address that is not public."""


class Caller:
    """`anywhere` allows internal addresses and plain HTTP, as on the embedded stack, which is internal."""

    def __init__(self, *, anywhere: bool, patience: float = PATIENCE_SECONDS) -> None:
        self._anywhere = anywhere
        self._patience = patience
        self._http = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            network_backend=_LookingAtAddresses(anywhere=anywhere),
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

        Raises `EventRefused` or `EndpointAway`.
        """
        if problem := url_problem(url, anywhere=self._anywhere):
            raise EndpointAway(f"its URL {problem}")
        body = event.model_dump_json(exclude_none=True)
        headers = _headers(event.id, body, secrets)
        try:
            async with (
                asyncio.timeout(self._patience),
                # What it says beside the status is not read, however much it is.
                self._http.stream("POST", url, headers=headers, content=body.encode()) as answer,
            ):
                status: int = answer.status
        except TimeoutError:
            raise EndpointAway(f"it did not answer within {self._patience:g} s") from None
        except _InternalAddressError:
            raise EndpointAway("its name stands for an internal address") from None
        except ssl.SSLError as error:
            raise EndpointAway(f"its certificate is not trusted ({error.reason})") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise EndpointAway(f"it cannot be reached ({type(error).__name__})") from None
        if status in _NOT_ABOUT_THE_EVENT:
            raise EndpointAway(f"it answered {status}")
        if not 200 <= status < 300:
            raise EventRefused(f"it answered {status}")


def _headers(event_id: str, body: str, secrets: Iterable[str]) -> dict[bytes | str, bytes | str]:
    now = datetime.now(UTC)
    return {
        "Content-Type": _MEDIA_TYPE,
        "User-Agent": "worksub",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, now, body) for secret in secrets),
    }


class _LookingAtAddresses(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was looked at, whatever the name means a moment later."""

    def __init__(self, *, anywhere: bool) -> None:
        self._anywhere = anywhere
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
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
