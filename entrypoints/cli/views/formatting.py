"""Formats of times, amounts and states."""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from subscription.labels import deadline_label
from subscription.messages import format_message
from subscription.state import State

if TYPE_CHECKING:
    from subscription.deadlines import Deadline

NONE = "-"
_STATE_STYLES = {
    State.TRIAL: "cyan",
    State.ACTIVE: "green",
    State.SUSPENDED: "yellow",
    State.CANCELED: "red",
    State.ERASED: "dim",
    State.REJECTED: "red",
}


def format_time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} KST" if at else NONE


def format_amount(amount: int) -> str:
    return f"{amount:,}"


def styled_state(state: str) -> Text:
    return Text(state, style=_STATE_STYLES.get(State(state), ""))


def format_deadline(deadline: "Deadline | None") -> str:
    if deadline is None:
        return NONE
    return f"{format_time(deadline.at)}: {format_message(deadline_label(deadline))}"
