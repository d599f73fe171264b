"""Commands that are sent again: recognised by their id for at least 30 days (R22)."""

from datetime import datetime, timedelta

from subscription.commands import Command
from subscription.refusals import Code, Refused
from subscription.state import Answered, Subscription

_REMEMBERED = timedelta(days=31)

ID_REUSED = Refused(
    code=Code.COMMAND_ID_REUSED,
    message="This id was used for another command; choose a new one.",
    field="id",
)


def was_answered(state: Subscription, command: Command) -> bool | Refused:
    """Whether this very command has been accepted before; refused if its id belongs to another one."""
    earlier = state.answered.get(command.id) if command.id else None
    if earlier is None:
        return False
    if earlier.fingerprint != command.fingerprint():
        return ID_REUSED
    return True


def remembering(state: Subscription, command: Command, now: datetime) -> Subscription:
    """The state that knows this command as accepted, and has forgotten those of long ago."""
    if command.id is None:
        return state
    recent = {key: answered for key, answered in state.answered.items() if now - answered.at < _REMEMBERED}
    recent[command.id] = Answered(fingerprint=command.fingerprint(), at=now)
    return state.model_copy(update={"answered": recent})
