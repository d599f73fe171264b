"""Update handler and signal handler of every command."""

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from adapters.temporal.encrypted_payload import UnknownKeyError
    from subscription.commands import COMMANDS
    from subscription.refusals import Refusal, RefusalCode
    from subscription.timeline import Answer

NO_ARGUMENT = RawValue(Payload())
"""Default of the handlers' parameter, for callers that send no argument."""

_log = logging.getLogger(__name__)
_reported_keys: dict[str, bool] = {}

_Workflow = TypeVar("_Workflow", bound="CommandReceiver")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class CommandReceiver(Protocol):
    async def handle_update(self, name: str, argument: Any) -> Answer: ...

    def validate_update(self, name: str, argument: Any) -> None: ...

    def handle_signal(self, name: str, argument: RawValue) -> None: ...


def with_command_handlers(cls: type[_Workflow]) -> type[_Workflow]:
    """Add the handlers of all commands to a workflow class. Apply it before `workflow.defn`."""
    for command in COMMANDS.values():
        _add_update(cls, command.name, command.title)
        _add_signal(cls, command.name, command.title)
    return cls


def _add_update(cls: type[_Workflow], name: str, title: str) -> None:
    async def handle(self: Any, argument: RawValue = NO_ARGUMENT) -> Answer:
        answer: Answer = await self.handle_update(name, read_argument(argument))
        return answer

    def validate(self: Any, argument: RawValue = NO_ARGUMENT) -> None:
        self.validate_update(name, read_argument(argument))

    update = workflow.update(name=name, description=title)(_as_method(handle))
    update.validator(_as_method(validate))
    setattr(cls, f"update_{name}", update)


def _add_signal(cls: type[_Workflow], name: str, title: str) -> None:
    def handle(self: Any, argument: RawValue = NO_ARGUMENT) -> None:
        self.handle_signal(name, argument)

    setattr(cls, f"signal_{name}", workflow.signal(name=name, description=title)(_as_method(handle)))


def _as_method(function: _Function) -> _Function:
    """Remove the annotation of `self`, which the SDK would take for an argument."""
    del function.__annotations__["self"]
    return function


def decode_own_argument(argument: RawValue) -> Any:
    """Return the JSON value of an argument that the service itself has written.

    Raises `UnknownKeyError`: the workflow task is retried until the key is available. It is logged once.
    """
    try:
        return _decode(argument)
    except UnknownKeyError as error:
        if error.key_id not in _reported_keys:
            _reported_keys[error.key_id] = True
            _log.error(str(error))
        raise


def _decode(argument: RawValue) -> Any:
    """Return the JSON value of an argument; its bytes if it is not JSON, which are refused later.

    A missing argument is an empty object. It must not be null, which would clear a renewal option.
    """
    if argument is NO_ARGUMENT:
        return {}
    try:
        return workflow.payload_converter().from_payload(argument.payload)
    except UnknownKeyError:
        raise
    except Exception:
        return argument.payload.data


def read_argument(argument: RawValue) -> Any:
    """Return the JSON value of a caller's argument, or a refusal if its encryption key is unknown.

    Waiting for the key, as `decode_own_argument` does, would let any caller block a subscription forever.
    """
    try:
        return _decode(argument)
    except UnknownKeyError as error:
        return Refusal.of(RefusalCode.KEY_UNKNOWN, key_id=error.key_id)
