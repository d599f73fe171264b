"""Event loop with signal handling and a clean interpreter exit."""

import gc
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with `asyncio.run`, then call `collect_garbage`. Call this last in a process.

    SIGTERM is handled as Ctrl-C. After either signal, raise `KeyboardInterrupt`, even if `main` raised
    another exception, because the Temporal SDK converts cancellation to its own errors.
    """
    import asyncio
    import signal

    interrupted = False

    async def interruptible() -> T:
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        assert this is not None

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            ignore_pending_futures(loop)
            this.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        return await main

    try:
        return asyncio.run(interruptible())
    except BaseException:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        # The command has finished: Ctrl-C during interpreter shutdown must not change its exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        collect_garbage()


def disable_sdk_logging() -> None:
    """Disable the SDK's logging, which writes to standard output. Call this before creating a client."""
    from temporalio.runtime import Runtime, TelemetryConfig

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)


def ignore_pending_futures(loop: "asyncio.AbstractEventLoop") -> None:
    """Suppress tracebacks of pending futures, which the SDK leaves behind when a call is canceled."""
    loop.set_exception_handler(lambda loop, context: None)


def collect_garbage() -> None:
    """Collect garbage after closing an event loop that used the Temporal SDK.

    The SDK can abort the interpreter at exit if SDK objects still exist (sdk-python#300).
    """
    gc.collect()
