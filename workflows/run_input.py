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
"""So many run ids are handed on, for erasure. Earlier runs are found in the server's lists."""


class RefusedSignals(Frozen):
    """The refused signals of a day: how many are `noted` in the timeline, and how many `more` there were."""

    day: Day
    noted: int = 0
    more: int = 0


class WaitingSignal(Frozen):
    """A signal that waits for its turn across runs: its command's fields, or why it cannot be read."""

    name: str
    argument: Mapping[str, Any] = {}
    refused: Refusal | None = None


class ResumeInput(Frozen):
    """A life that goes on from an earlier run.

    `clock_offset` is what a simulated life's clock is ahead of the workflow's. `run_ids` are the latest runs,
    for erasure, and `forgotten` is how many there were before them. `timeline` keeps the latest entries for
    the query, `recent` the latest ids of commands, `signals` what still waits for its turn.
    """

    stage: Literal["RESUMED"] = "RESUMED"
    state: Subscription
    book: PriceBook
    clock_offset: timedelta | None
    run_ids: tuple[str, ...]
    forgotten: int = 0
    timeline: tuple[TimelineEntry, ...]
    request_fingerprint: str
    recent: RecentCommands = RecentCommands()
    refused_signals: RefusedSignals | None = None
    signals: tuple[WaitingSignal, ...] = ()


class CleanupInput(Frozen):
    """A life that is over: what is left to do is deleting its histories. Nothing here names anyone (R31)."""

    stage: Literal["CLEARING"] = "CLEARING"
    run_ids: tuple[str, ...]
    forgotten: int = 0
    erased_at: Instant | None
    result: "SubscriptionResult"


class SubscriptionResult(Frozen):
    """What the workflow returns, as its last state; for a refused request, with what was wrong."""

    state: State
    code: str | None = None
    problems: tuple[Problem, ...] = ()


def with_run(run_ids: tuple[str, ...], forgotten: int, run_id: str) -> tuple[tuple[str, ...], int]:
    """The run ids to hand on, with this one, and how many are not among them any more."""
    known = (*run_ids, run_id)
    return known[-MOST_RUN_IDS:], forgotten + max(0, len(known) - MOST_RUN_IDS)


def parse_run_input(argument: Any) -> ResumeInput | CleanupInput | None:
    """The stage that a run's argument names; None when it is a request."""
    if isinstance(argument, Mapping):
        match argument.get("stage"):
            case "RESUMED":
                return ResumeInput.model_validate(argument)
            case "CLEARING":
                return CleanupInput.model_validate(argument)
    return None
