"""The benchmarks in their smallest size, and the page with the results of the last run."""

import asyncio
import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks.__main__ import ALL_CASES
from benchmarks.billable_actions import actions_in
from benchmarks.capacity_model import cloud_dollars
from benchmarks.cases.history_size import history_size
from benchmarks.cases.large_tables import large_tables
from benchmarks.cases.request_throughput import request_throughput
from benchmarks.cases.rules_throughput import rules_throughput
from benchmarks.chart import plot
from benchmarks.environment import BenchmarkEnvironment, open_environment_on
from benchmarks.metrics import Figure
from benchmarks.report import PAGE, PLOT, figures_of, load_results, render_page
from benchmarks.results import CaseResult, from_json, to_json
from benchmarks.worker_processes import WorkerEndedError, worker_process
from benchmarks.workload import SMALLEST, Sizes
from dev_stack.stack import EmbeddedStack


async def test_benchmark_parts_run(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[str] = []
    async with (
        open_environment_on(stack, lambda line: None, faults.append) as fresh,
        fresh.our_worker() as ours,
        fresh.plain_worker() as plain,
    ):
        # One worker of each implementation runs all parts, because the start of a process takes seconds.
        monkeypatch.setattr(BenchmarkEnvironment, "our_worker", lambda env: nullcontext(ours))
        monkeypatch.setattr(BenchmarkEnvironment, "plain_worker", lambda env: nullcontext(plain))
        figures = {
            figure.name: figure
            for part in (request_throughput, history_size, large_tables)
            for figure in await part(fresh, SMALLEST)
        }
    assert faults == []
    assert len(figures["settled requests"].ratios) == SMALLEST.rounds
    assert all(figure.ours for figure in figures.values())
    assert figures["history events per billing month"].plain == [11]
    assert figures["billable actions of Temporal Cloud per billing month"].plain == [2]


WORKER = """
import os, signal, sys
from contextlib import asynccontextmanager
from benchmarks.worker_protocol import serve

@asynccontextmanager
async def working(ending):
    print("This is no JSON.", flush=True)
    if ending == "early":
        sys.exit(3)
    if ending == "killed":
        yield str(os.getpid())
    else:
        yield "Working."
        os._exit(int(ending))

serve(working)
"""


@pytest.fixture
def odd_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Create a worker module that prints and exits as its argument specifies, and return its name."""
    (tmp_path / "odd_worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PAGE.parents[1]}")
    return "odd_worker"


async def test_a_worker_may_print(odd_worker: str) -> None:
    faults: list[str] = []
    async with worker_process(odd_worker, "0", on_fault=faults.append) as worker:
        assert worker.start_message == "Working."
        assert (await worker.usage()).memory_bytes > 0
    assert faults == []


async def test_unclean_worker_stop_is_reported_and_keeps_figures(odd_worker: str) -> None:
    faults: list[str] = []
    async with worker_process(odd_worker, "5", on_fault=faults.append) as worker:
        assert (await worker.usage()).cpu_seconds > 0
    assert faults == ["odd_worker ended with exit code 5."]


async def test_worker_that_ends_during_startup_is_an_error(odd_worker: str) -> None:
    with pytest.raises(WorkerEndedError, match="odd_worker ended with exit code 3"):
        async with worker_process(odd_worker, "early", on_fault=pytest.fail):
            pytest.fail("It has not begun to work.")


async def test_killed_worker_ends_its_waiters_immediately(odd_worker: str) -> None:
    async def kill_and_wait() -> None:
        async with worker_process(odd_worker, "killed", on_fault=pytest.fail) as worker:
            os.kill(int(worker.start_message), signal.SIGKILL)
            await asyncio.Event().wait()

    with pytest.raises(WorkerEndedError, match="odd_worker was killed by SIGKILL"):
        await kill_and_wait()


async def test_benchmark_error_is_not_masked(odd_worker: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with worker_process(odd_worker, "0", on_fault=pytest.fail):
            raise ZeroDivisionError


async def test_rules_benchmark_runs_without_servers() -> None:
    figures = await rules_throughput(SMALLEST)
    assert [len(figure.ours) for figure in figures] == [SMALLEST.rounds] * 2


def test_figure_is_compared_with_its_goal() -> None:
    ratio = Figure("rate", "1/s", 1.5, at_least=True, of_ratio=True)
    ratio.add(30, 10)
    ratio.add(10, 10)
    ratio.add(16, 10)
    assert ratio.median == 1.6
    assert ratio.cells == ("rate, 1/s", "16 (10 to 30)", "10", "1.6 (1 to 3)", "—", "≥ 1.5×", "yes")
    seconds = Figure("time", "s", 0.4, ours=[0.5])
    assert seconds.cells[-2:] == ("≤ 0.4", "**no**")
    assert Figure("lost", ours=[0.0], plain=[0.0]).ratios == []
    assert Figure("size", "KB", ours=[1234.5]).cells == ("size, KB", "1,234", *["—"] * 5)


def _marker(task: int) -> HistoryEvent:
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_MARKER_RECORDED)
    event.marker_recorded_event_attributes.workflow_task_completed_event_id = task
    return event


def test_actions_are_counted_by_the_published_rules() -> None:
    started = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    completed = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    metered = completed.workflow_task_completed_event_attributes.metering_metadata
    metered.nonfirst_local_activity_execution_attempts = 2
    third_attempt = HistoryEvent(event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    third_attempt.activity_task_started_event_attributes.attempt = 3
    patched = HistoryEvent(event_type=EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    upserted = patched.upsert_workflow_search_attributes_event_attributes.search_attributes
    upserted.indexed_fields["TemporalChangeVersion"].data = b"[]"
    timer = HistoryEvent(event_type=EventType.EVENT_TYPE_TIMER_STARTED)
    continued = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)

    assert actions_in([started, timer, continued]) == 2
    # Local activities of one workflow task are one billable action; the next task's are another.
    assert actions_in([started, _marker(4), _marker(4), _marker(9)]) == 3
    # Event ids start again in the next run.
    assert actions_in([started, _marker(4), continued, started, _marker(4)]) == 4
    assert actions_in([completed]) == 2
    assert actions_in([third_attempt]) == 2
    assert actions_in([patched]) == 0


@pytest.mark.parametrize(
    ("actions", "gigabytes", "dollars"),
    [
        # Only the plan's price, which includes 2.5 million actions.
        (2_500_000, 0, 500),
        # 11.25 million more: 5 × 50 + 5 × 45 + 1.25 × 40 = 525, and the plan.
        (13_750_000, 0, 1025),
        # 10 GB for 720 hours at 0.042: 302.40.
        (0, 10, 802.4),
        # 10% of 10,000 GB × 720 × 0.042 = 302,400 exceeds the minimum price of the plan.
        (0, 10_000, 332_640),
    ],
)
def test_monthly_temporal_cloud_cost(actions: float, gigabytes: float, dollars: float) -> None:
    assert cloud_dollars(actions, gigabytes) == pytest.approx(dollars)


def test_page_and_plot_match_the_latest_measurement() -> None:
    page, measured = PAGE.read_text(encoding="utf-8"), load_results()
    assert measured.keys() == set(ALL_CASES)
    assert page == render_page(page, measured)
    assert PLOT.read_text(encoding="utf-8") == plot(figures_of(measured))


def test_measurement_round_trips_through_json() -> None:
    rate = Figure("rate", "1/s", 1.5, at_least=True, of_ratio=True, ours=[30, 16], plain=[10, 10])
    part = CaseResult(datetime(2026, 11, 26, 7, 5, tzinfo=UTC), 2, "3.11.7", SMALLEST, 12.5, [rate])
    kept = to_json({"requests": part})
    assert kept["requests"]["figures"][0]["ratios"] == [3, 1.6]
    assert from_json(json.loads(json.dumps(kept))) == {"requests": part}


def test_page_names_the_run_of_each_part() -> None:
    earlier, later = (datetime(2026, 11, day, 7, 5, tzinfo=UTC) for day in (25, 26))
    time = Figure("time", "s", 0.4, ours=[0.8])
    measured = {
        "rules": CaseResult(later, 2, "3.11.7", Sizes(), 60, [time]),
        "requests": CaseResult(earlier, 2, "3.11.7", Sizes(), 120, [time]),
        "wave": CaseResult(later, 2, "3.11.7", Sizes(wave=500), 60, [time]),
    }
    page = render_page(PAGE.read_text(encoding="utf-8"), measured)
    assert "- 2026-11-25 07:05 UTC, 2 cores, Python 3.11.7, 5 rounds: requests (2 min)\n" in page
    assert "- 2026-11-26 07:05 UTC, 2 cores, Python 3.11.7, 5 rounds: rules (1 min)\n" in page
    assert "**not the default sizes: wave 500**: wave (1 min)\n" in page
    assert "0 of 3 goals are reached." in page
    assert "Available after every case has been measured." in page


def test_plot_has_a_text_alternative() -> None:
    svg = ElementTree.fromstring(plot([Figure("time", "s", 0.4, ours=[0.8])]))
    [described] = svg.findall("{http://www.w3.org/2000/svg}desc")
    assert described.text == "time, s: 0.8, goal ≤ 0.4, not reached."
