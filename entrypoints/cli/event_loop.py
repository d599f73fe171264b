"""Event loop with signal handling and a clean interpreter exit."""

import gc
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, and then `collect_garbage`: the last that a process does. SIGTERM is as good as Ctrl-C.

    Raises `KeyboardInterrupt` then, whatever `main` has made of being cancelled: the SDK makes errors of it.
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
        # It is over, and what is pressed now changes nothing of how it ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        collect_garbage()


def disable_sdk_logging() -> None:
    """To be called before a first client: the SDK warns on standard output, where our answers go."""
    from temporalio.runtime import Runtime, TelemetryConfig

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)


def ignore_pending_futures(loop: "asyncio.AbstractEventLoop") -> None:
    """The SDK leaves futures behind when a call is given up, and the loop would print each as a traceback."""
    loop.set_exception_handler(lambda loop, context: None)


def collect_garbage() -> None:
    """To be called when a loop is closed in which the Temporal SDK was used.

    The SDK can abort an interpreter that exits while it still holds objects (sdk-python#300).
    """
    gc.collect()
