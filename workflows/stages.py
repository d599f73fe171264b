"""What a run of the workflow starts from: a request, an earlier run's state, or nothing but run ids."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from subscription.calendar import Instant
from subscription.catalogue import PriceBook
from subscription.effects import TimelineEntry
from subscription.model import Frozen
from subscription.refusals import Problem
from subscription.state import State, Subscription


class Resumed(Frozen):
    """A life that goes on from an earlier run.

    `clock_offset` is what a simulated life's clock is ahead of the workflow's. `run_ids` are the runs so
    far, for erasure. `timeline` keeps the latest entries for the query.
    """

    stage: Literal["RESUMED"] = "RESUMED"
    state: Subscription
    book: PriceBook
    clock_offset: timedelta | None
    run_ids: tuple[str, ...]
    timeline: tuple[TimelineEntry, ...]
    request_fingerprint: str


class Clearing(Frozen):
    """A life that is over: what is left to do is deleting its histories. Nothing here names anyone (R31)."""

    stage: Literal["CLEARING"] = "CLEARING"
    run_ids: tuple[str, ...]
    erased_at: Instant | None
    result: "LifeResult"


class LifeResult(Frozen):
    """What the workflow returns, as its last state; for a refused request, with what was wrong."""

    state: State
    code: str | None = None
    problems: tuple[Problem, ...] = ()


def stage_of(argument: Any) -> Resumed | Clearing | None:
    """The stage that a run's argument names; None when it is a request."""
    if isinstance(argument, Mapping):
        match argument.get("stage"):
            case "RESUMED":
                return Resumed.model_validate(argument)
            case "CLEARING":
                return Clearing.model_validate(argument)
    return None
