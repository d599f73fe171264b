"""Batch failures, as the report of a scheduled job names them."""

from collections.abc import Sequence

from subscription.model import Frozen

_NAMED = 100


class MemberFailure(Frozen):
    """A member, by an id that names no person, and the type of the error."""

    member: str
    error: str


def named(failures: Sequence[MemberFailure]) -> tuple[MemberFailure, ...]:
    """Return as many failures as a report names; the log has all of them."""
    return tuple(failures[:_NAMED])


def failure_words(failed: int, failures: Sequence[MemberFailure]) -> str:
    """Return the sentence with which a report ends; nothing if no member failed."""
    if not failed:
        return ""
    shown = ", ".join(f"{each.member} ({each.error})" for each in failures[:5])
    more = f" and {failed - 5:,} more" if failed > 5 else ""
    return f" {failed:,} failed: {shown}{more}."
