"""Context variable that carries a caller's trace header from a handler to the main loop."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from temporalio.api.common.v1 import Payload

_CAUSE: ContextVar[Payload | None] = ContextVar("cause", default=None)


def current_trace_header() -> Payload | None:
    """Return the trace header; None if tracing is off or a deadline, not a caller, started the work."""
    return _CAUSE.get()


@contextmanager
def use_trace_header(header: Payload | None) -> Iterator[None]:
    """Assign all work within the context to this trace."""
    token = _CAUSE.set(header)
    try:
        yield
    finally:
        # The garbage collector may finish an evicted run in another context, where reset raises ValueError.
        with suppress(ValueError):
            _CAUSE.reset(token)
