"""Every command as an update, which answers, and as a signal of the same name, for operators."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from subscription.commands import COMMANDS
    from subscription.effects import Answer
    from workflows.envelope import UnknownKeyError

NOTHING = RawValue(Payload())
"""What a handler is given when its caller sent no argument."""

_Workflow = TypeVar("_Workflow", bound="TakesCommands")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class TakesCommands(Protocol):
    async def take_update(self, name: str, argument: Any) -> Answer: ...

    def judge_update(self, name: str, argument: Any) -> None: ...

    def take_signal(self, name: str, argument: Any) -> None: ...


def takes_commands(cls: type[_Workflow]) -> type[_Workflow]:
    """Give a workflow class the handlers of all commands; to be applied before `workflow.defn`."""
    for command in COMMANDS.values():
        _add_update(cls, command.name, command.title)
        _add_signal(cls, command.name, command.title)
    return cls


def _add_update(cls: type[_Workflow], name: str, title: str) -> None:
    async def handle(self: Any, argument: RawValue = NOTHING) -> Answer:
        answer: Answer = await self.take_update(name, decoded(argument))
        return answer

    def judge(self: Any, argument: RawValue = NOTHING) -> None:
        self.judge_update(name, decoded(argument))

    update = workflow.update(name=name, description=title)(_as_method(handle))
    update.validator(_as_method(judge))
    setattr(cls, f"update_{name}", update)


def _add_signal(cls: type[_Workflow], name: str, title: str) -> None:
    def handle(self: Any, argument: RawValue = NOTHING) -> None:
        self.take_signal(name, decoded(argument))

    setattr(cls, f"signal_{name}", workflow.signal(name=name, description=title)(_as_method(handle)))


def _as_method(function: _Function) -> _Function:
    """The SDK takes an annotated `self` for an argument."""
    del function.__annotations__["self"]
    return function


def decoded(argument: Any) -> Any:
    """The JSON value of an argument; what is not JSON comes back as its bytes, to be refused.

    No argument at all is an empty object, and never a null, which would clear a renewal option. Beside
    arguments that are too many, the first one has been decoded already.
    """
    if argument is NOTHING:
        return {}
    if not isinstance(argument, RawValue):
        return argument
    try:
        return workflow.payload_converter().from_payload(argument.payload)
    except UnknownKeyError:  # it waits until the key is there
        raise
    except Exception:
        return argument.payload.data
