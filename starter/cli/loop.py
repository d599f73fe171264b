"""Event loops after which the interpreter can exit."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, and then `collect_garbage`."""
    try:
        return asyncio.run(main)
    finally:
        collect_garbage()


def keep_the_sdk_quiet() -> None:
    """To be called before a first client: the SDK warns on standard output, where our answers go."""
    from temporalio.runtime import Runtime, TelemetryConfig

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)


def collect_garbage() -> None:
    """To be called when a loop is closed in which the Temporal SDK was used.

    The SDK can abort an interpreter that exits while it still holds objects (sdk-python#300).
    """
    gc.collect()
