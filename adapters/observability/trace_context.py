"""Context variable that carries a caller's trace header from a handler to the main loop."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from temporalio.api.common.v1 import Payload

_CAUSE: ContextVar[Payload | None] = ContextVar("cause", default=None)


def current_trace_header() -> Payload | None:
    """The header that names the trace; None while nobody traces, and for what falls due by itself."""
    return _CAUSE.get()


@contextmanager
def use_trace_header(header: Payload | None) -> Iterator[None]:
    """What is done within is done for this trace."""
    token = _CAUSE.set(header)
    try:
        yield
    finally:
        # A run that the worker evicts is cleared away wherever garbage is collected, in another context.
        with suppress(ValueError):
            _CAUSE.reset(token)
