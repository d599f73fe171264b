"""Replay of running workflows against the current code."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from temporalio.client import Client, WorkflowHistory
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from adapters.temporal.client import TASK_QUEUE
from subscription.model import Frozen
from workflows.registry import replay_failure_reason, replayer

RUNNING = f"TaskQueue = '{TASK_QUEUE}' AND CloseTime IS NULL"
"""The runs with which this release's workers would go on."""


class ReplayFailure(Frozen):
    workflow_id: str
    run_id: str
    reason: str


class ReplayReport(Frozen):
    """How many histories lead to the commands that stand in them, and which do not."""

    replayed: int
    failed: tuple[ReplayFailure, ...]


@contextmanager
def _without_logs() -> Iterator[Runtime]:
    """What fails is reported, so the SDK need not log it as well."""
    errors = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    logger = logging.getLogger("temporalio")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield Runtime(telemetry=TelemetryConfig(logging=errors))
    finally:
        logger.setLevel(level)


async def replay(
    client: Client,
    query: str = RUNNING,
    *,
    limit: int | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> ReplayReport:
    """Replay the runs that the visibility query finds; nothing of them is changed.

    `on_progress` is called after each, with how many there have been.
    """
    replayed, failed = 0, []
    histories = client.list_workflows(query, limit=limit).map_histories()
    with _without_logs() as runtime:
        replaying = replayer(converter=client.data_converter, runtime=runtime)
        async with replaying.workflow_replay_iterator(histories) as results:
            async for result in results:
                if result.replay_failure is None:
                    replayed += 1
                else:
                    failed.append(_not_replayed(result.history, result.replay_failure))
                on_progress(replayed + len(failed))
    return ReplayReport(replayed=replayed, failed=tuple(failed))


def _not_replayed(history: WorkflowHistory, failure: Exception) -> ReplayFailure:
    return ReplayFailure(
        workflow_id=history.workflow_id, run_id=history.run_id, reason=replay_failure_reason(failure)
    )
