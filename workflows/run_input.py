"""Input of a workflow run: a new request, a resumed state, or a cleanup after erasure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from subscription.business_calendar import Day, Instant
from subscription.catalogue import PriceBook
from subscription.idempotency import RecentCommands
from subscription.model import Frozen
from subscription.refusals import Problem, Refusal
from subscription.state import State, Subscription
from subscription.timeline import TimelineEntry

MOST_RUN_IDS = 200
"""Maximum number of run IDs passed on for erasure. Earlier runs are found by visibility queries."""


class RefusedSignals(Frozen):
    """Refused signals of a day: `noted` have a timeline entry, `more` are only counted."""

    day: Day
    noted: int = 0
    more: int = 0


class WaitingSignal(Frozen):
    """Queued signal that is passed to the next run: the fields of its command, or its refusal."""

    name: str
    argument: Mapping[str, Any] = {}
    refused: Refusal | None = None


class ResumeInput(Frozen):
    """State of an active subscription, passed by an earlier run.

    `clock_offset` is the lead of a test clock over workflow time. `run_ids` are the latest runs, for erasure;
    `forgotten` counts the runs before them. `timeline` has the latest entries for the query. `recent` has the
    latest command IDs, `signals` the queued signals.
    """

    stage: Literal["RESUME"] = "RESUME"
    state: Subscription
    book: PriceBook
    clock_offset: timedelta | None = None
    run_ids: tuple[str, ...]
    forgotten: int = 0
    timeline: tuple[TimelineEntry, ...]
    request_fingerprint: str
    recent: RecentCommands = RecentCommands()
    refused_signals: RefusedSignals | None = None
    signals: tuple[WaitingSignal, ...] = ()


class CleanupInput(Frozen):
    """Input of the last run, which deletes the histories. Contains no personal data (R31)."""

    stage: Literal["CLEANUP"] = "CLEANUP"
    run_ids: tuple[str, ...]
    forgotten: int = 0
    erased_at: Instant | None = None
    result: "SubscriptionResult"


class SubscriptionResult(Frozen):
    """Result of the workflow: the final state and, for a refused request, its code and problems."""

    state: State
    code: str | None = None
    problems: tuple[Problem, ...] = ()


def with_run(run_ids: tuple[str, ...], forgotten: int, run_id: str) -> tuple[tuple[str, ...], int]:
    """Return the run IDs to pass on, including this one, and the number of dropped run IDs."""
    known = (*run_ids, run_id)
    return known[-MOST_RUN_IDS:], forgotten + max(0, len(known) - MOST_RUN_IDS)


def run_argument(run_input: ResumeInput | CleanupInput) -> Mapping[str, Any]:
    """Return the argument of the next run, without the fields that are None, which is their default.

    The argument is stored twice: at the end of a run and at the start of the next one.
    """
    return run_input.model_dump(mode="json", exclude_none=True)


def parse_run_input(argument: Any) -> ResumeInput | CleanupInput | None:
    """Parse the argument of a run; return None if it is a request."""
    if isinstance(argument, Mapping):
        match argument.get("stage"):
            case "RESUME":
                return ResumeInput.model_validate(argument)
            case "CLEANUP":
                return CleanupInput.model_validate(argument)
    return None
