"""Formats of times, amounts, states and reasons for attention, for all views."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from subscription.labels import deadline_label
from subscription.messages import format_message
from subscription.state import State

if TYPE_CHECKING:
    from subscription.attention import ShownAttention
    from subscription.deadlines import Deadline

NONE = "-"
STATE_STYLES = {
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


def format_deadline(deadline: "Deadline | None") -> str:
    if deadline is None:
        return NONE
    return f"{format_time(deadline.at)}: {format_message(deadline_label(deadline))}"


def format_attention(attention: "ShownAttention", now: datetime) -> str:
    """Return the reason for attention, its time, and its age unless the time is in the future."""
    if attention.since is None:
        return attention.text
    since = f"{attention.text}, since {format_time(attention.since)}"
    return f"{since} ({format_age(now - attention.since)} ago)" if now >= attention.since else since


def format_age(age: timedelta) -> str:
    """Return a duration in its largest unit, as "3 hours"."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if number := int(age.total_seconds()) // seconds:
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    return "less than a minute"
