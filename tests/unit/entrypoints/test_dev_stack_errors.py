"""Failures of the local stack as command errors."""

import pytest

from entrypoints.cli.dev_stack_errors import convert_stack_errors
from entrypoints.cli.errors import CommandError, ExitCode


@pytest.mark.parametrize("failure", [TimeoutError(), ConnectionResetError("reset by peer")], ids=repr)
def test_silent_embedded_server_is_named(failure: Exception) -> None:
    with pytest.raises(CommandError) as raised, convert_stack_errors():
        raise failure
    error = raised.value
    assert (error.exit_code, error.code) == (ExitCode.UNAVAILABLE, "EMBEDDED_NO_ANSWER")
    assert str(failure) or type(failure).__name__ in error.message
