"""Commands that bring servers of their own: what they share."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starter.cli.errors import unavailable

T = TypeVar("T")


def run_on_own_servers(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in an event loop of its own; servers that do not start are an error of the command."""
    with embedded_errors_reported():
        try:
            return asyncio.run(main())
        finally:
            # The SDK can abort an interpreter that exits while it still holds objects (sdk-python#300).
            gc.collect()


@contextmanager
def embedded_errors_reported() -> Iterator[None]:
    try:
        from starter.embedded.stack import StackError
    except ModuleNotFoundError as error:
        raise unavailable(
            "EMBEDDED_NOT_INSTALLED",
            f"The embedded servers are not installed: {error.name} is missing.",
            advice="Install them with: pip install 'worksub[embedded]'",
        ) from None
    try:
        yield
    except StackError as error:
        raise unavailable("EMBEDDED_NOT_STARTED", str(error)) from None
