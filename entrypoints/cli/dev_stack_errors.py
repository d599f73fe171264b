"""Failures of the local stack as command errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from entrypoints.cli.errors import unavailable


@contextmanager
def convert_stack_errors() -> Iterator[None]:
    """Convert failures of the embedded servers (missing, not started, ended, silent) to `CommandError`."""
    try:
        from dev_stack.stack import StackEndedError, StackError
    except ModuleNotFoundError as error:
        raise unavailable(
            "EMBEDDED_NOT_INSTALLED",
            f"The embedded servers are not installed: {error.name} is missing.",
            advice="Install them with: pip install 'worksub[embedded]'",
        ) from None
    try:
        yield
    except StackEndedError as error:
        raise unavailable("EMBEDDED_ENDED", str(error)) from None
    except StackError as error:
        raise unavailable("EMBEDDED_NOT_STARTED", str(error)) from None
    except (TimeoutError, ConnectionError) as error:
        raise unavailable(
            "EMBEDDED_NO_ANSWER",
            f"An embedded server does not answer: {str(error) or type(error).__name__}.",
            advice="The machine may be overloaded. Run the command again.",
        ) from None
