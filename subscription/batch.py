"""Failed batch members in the report of a scheduled job."""

from collections.abc import Sequence

from subscription.model import Frozen

_MAX_REPORTED = 100


class MemberFailure(Frozen):
    """The ID of the member that failed, without personal data, and the type of the error."""

    member: str
    error: str


def first_failures(failures: Sequence[MemberFailure]) -> tuple[MemberFailure, ...]:
    """Return the first 100 failures, the maximum of a report. The log has all failures."""
    return tuple(failures[:_MAX_REPORTED])


def failures_message(failed: int, failures: Sequence[MemberFailure]) -> str:
    """Return the last sentence of a report; the empty string if no member failed."""
    if not failed:
        return ""
    listed = ", ".join(f"{failure.member} ({failure.error})" for failure in failures[:5])
    more = f" and {failed - 5:,} more" if failed > 5 else ""
    return f" {failed:,} failed: {listed}{more}."
