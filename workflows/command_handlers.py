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
"""What a handler is given when its caller sent no argument."""

_log = logging.getLogger("worksub")
_missed_keys: dict[str, bool] = {}

_Workflow = TypeVar("_Workflow", bound="CommandReceiver")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class CommandReceiver(Protocol):
    async def take_update(self, name: str, argument: Any) -> Answer: ...

    def judge_update(self, name: str, argument: Any) -> None: ...

    def take_signal(self, name: str, argument: RawValue) -> None: ...


def with_command_handlers(cls: type[_Workflow]) -> type[_Workflow]:
    """Give a workflow class the handlers of all commands; to be applied before `workflow.defn`."""
    for command in COMMANDS.values():
        _add_update(cls, command.name, command.title)
        _add_signal(cls, command.name, command.title)
    return cls


def _add_update(cls: type[_Workflow], name: str, title: str) -> None:
    async def handle(self: Any, argument: RawValue = NO_ARGUMENT) -> Answer:
        answer: Answer = await self.take_update(name, read_argument(argument))
        return answer

    def judge(self: Any, argument: RawValue = NO_ARGUMENT) -> None:
        self.judge_update(name, read_argument(argument))

    update = workflow.update(name=name, description=title)(_as_method(handle))
    update.validator(_as_method(judge))
    setattr(cls, f"update_{name}", update)


def _add_signal(cls: type[_Workflow], name: str, title: str) -> None:
    def handle(self: Any, argument: RawValue = NO_ARGUMENT) -> None:
        self.take_signal(name, argument)

    setattr(cls, f"signal_{name}", workflow.signal(name=name, description=title)(_as_method(handle)))


def _as_method(function: _Function) -> _Function:
    """The SDK takes an annotated `self` for an argument."""
    del function.__annotations__["self"]
    return function


def own_value(argument: RawValue) -> Any:
    """The JSON value of what this service has written itself.

    Raises `UnknownKeyError`: the workflow's task is tried again until the key is there. The log says it once.
    """
    try:
        return _decoded(argument)
    except UnknownKeyError as error:
        if error.key_id not in _missed_keys:
            _missed_keys[error.key_id] = True
            _log.error(str(error))
        raise


def _decoded(argument: RawValue) -> Any:
    """A JSON value; what is not JSON comes back as its bytes, to be refused.

    No argument at all is an empty object, and never a null, which would clear a renewal option.
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
    """The JSON value of what a caller has sent, or the refusal of what is encrypted with an unknown key.

    To wait for a caller's key would let anybody stop a subscription for good.
    """
    try:
        return _decoded(argument)
    except UnknownKeyError as error:
        return Refusal.of(RefusalCode.KEY_UNKNOWN, key_id=error.key_id)
