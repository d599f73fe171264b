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
"""Visibility query for the runs that the workers of this release would continue."""


class ReplayFailure(Frozen):
    workflow_id: str
    run_id: str
    reason: str


class ReplayReport(Frozen):
    """Result of a replay: the number of compatible histories, and the incompatible ones."""

    replayed: int
    failed: tuple[ReplayFailure, ...]


@contextmanager
def _without_logs() -> Iterator[Runtime]:
    """Disable the SDK's logging, because failures are part of the report."""
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
    """Replay the runs that match the visibility query. Replay does not change the runs.

    `on_progress` is called after each run with the number of replayed runs.
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
                    failed.append(_replay_failure(result.history, result.replay_failure))
                on_progress(replayed + len(failed))
    return ReplayReport(replayed=replayed, failed=tuple(failed))


def _replay_failure(history: WorkflowHistory, failure: Exception) -> ReplayFailure:
    return ReplayFailure(
        workflow_id=history.workflow_id, run_id=history.run_id, reason=replay_failure_reason(failure)
    )
