"""Commands that are sent again: recognised by their id for at least 30 days (R22)."""

from datetime import datetime, timedelta

from subscription.commands import Command
from subscription.refusals import Code, Refused, refuse
from subscription.state import Answered, Subscription

_REMEMBERED = timedelta(days=31)
_MOST_REMEMBERED = 2_000
"""As many as fit into what a workflow hands on, under ids of any length, with room to spare."""

ID_REUSED = Refused.of(Code.COMMAND_ID_REUSED, "id")


def was_answered(state: Subscription, command: Command) -> bool | Refused:
    """Whether this very command has been accepted before; refused if its id belongs to another one."""
    earlier = state.answered.get(command.id) if command.id else None
    if earlier is None:
        return False
    if earlier.fingerprint != command.fingerprint():
        return ID_REUSED
    return True


def check_room(state: Subscription, command: Command, now: datetime) -> None:
    """Raises `RefusedError` if one more command could not be remembered for as long as it must (R22)."""
    if command.id is not None and len(_recent(state, now)) >= _MOST_REMEMBERED:
        raise refuse(Code.TOO_MANY_COMMANDS, most=_MOST_REMEMBERED, days=_REMEMBERED.days)


def remembering(state: Subscription, command: Command, now: datetime) -> Subscription:
    """The state that knows this command as accepted, and has forgotten those of long ago."""
    if command.id is None:
        return state
    recent = _recent(state, now) | {command.id: Answered(fingerprint=command.fingerprint(), at=now)}
    return state.model_copy(update={"answered": recent})


def _recent(state: Subscription, now: datetime) -> dict[str, Answered]:
    return {key: answered for key, answered in state.answered.items() if now - answered.at < _REMEMBERED}
