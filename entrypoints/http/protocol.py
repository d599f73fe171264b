"""HTTP/1.1 protocol for uvicorn with limits on connections and on slow clients (slowloris)."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpLimits:
    """Limits of a server's connections.

    A client must send the request line and the headers within `head_seconds`, and the body within
    `body_seconds`. A client that reads nothing for `reading_seconds` while data is pending is disconnected.
    A connection without a request is kept for `idle_seconds`. This is longer than the 60 seconds of common
    proxies, so that they close it first: a server that closes it cannot know whether a request is on its way.
    A server with `connections` open ones closes the one that has been idle longest for a new one.
    """

    connections: int = 500
    head_seconds: float = 10
    body_seconds: float = 20
    reading_seconds: float = 30
    idle_seconds: int = 75


def _final(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


class BoundedProtocol(H11Protocol):
    """Protocol of one connection. Every input, valid or not, ends in a response or a closed connection."""

    def __init__(self, *arguments: Any, limits: HttpLimits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.closed = asyncio.Event()
        self._limits = limits
        self._receiving: type[h11.IDLE] | type[h11.SEND_BODY] | None = None
        self._sending_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and not self._close_an_idle_connection():
            self._end(_final("503 Service Unavailable"))
        else:
            self._watch()

    def _close_an_idle_connection(self) -> bool:
        """Close the connection that has been without a request for longest; return whether there is one."""
        idle = [each for each in self.connections if isinstance(each, BoundedProtocol) and each._is_idle()]
        if not idle:
            return False
        min(idle, key=lambda each: each._keep_alive_ends())._end()
        return True

    def _is_idle(self) -> bool:
        """Return whether a response is complete, and nothing of another request has arrived."""
        kept = self.timeout_keep_alive_task is not None and not self.transport.is_closing()
        return kept and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _keep_alive_ends(self) -> float:
        assert self.timeout_keep_alive_task is not None
        return self.timeout_keep_alive_task.when()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._sending_timer, self._reading_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # for some numbers h11 raises exceptions other than its own
            _log.warning("request parser failed", extra={"fields": {"error": type(error).__name__}})
            self._end()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        answering = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        begun = self.cycle is not None and not self.cycle.response_complete
        if answering and not (begun and self.cycle.response_started):
            super().send_400_response(msg)
        self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self._limits.reading_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self._end()

    def _should_upgrade(self) -> bool:
        return False

    def _watch(self) -> None:
        """Start or stop the timer for data that the client must send.

        The processing time of the server is limited elsewhere.
        """
        state = self.conn.their_state
        receiving = state if state in (h11.IDLE, h11.SEND_BODY) and not self._is_idle() else None
        if receiving is self._receiving or self.transport.is_closing():
            return
        self._receiving = receiving
        if self._sending_timer is not None:
            self._sending_timer.cancel()
        if receiving is not None:
            limits = self._limits
            seconds = limits.head_seconds if receiving is h11.IDLE else limits.body_seconds
            self._sending_timer = self.loop.call_later(seconds, self._sends_too_slowly)

    def _sends_too_slowly(self) -> None:
        unanswered = self._receiving is h11.IDLE or not self.cycle.response_started
        self._end(_final("408 Request Timeout") if unanswered else b"")

    def _end(self, response: bytes = b"") -> None:
        """Send a last response and close; an application that is reading the body gets a disconnect."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self.transport.is_closing():
            self.transport.write(response)
            self.transport.close()
        # Without this timeout, a client that does not read would keep the closed connection open forever.
        self.loop.call_later(self._limits.reading_seconds, self.transport.abort)
