"""Metrics of a worker after some subscriptions, with values calculated by hand."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest
from support.markdown_pages import ROOT, page, tables
from support.observability import Scraped, in_text, scraped
from support.polling import wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver, failed_tasks
from support.worker_env import open_worker_env
from temporalio.client import Client, WorkflowFailureError
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from adapters.observability.gauges import SCHEDULED_JOBS, GaugeSampler
from adapters.observability.sdk_runtime import telemetry_runtime
from adapters.temporal.data_converter import data_converter
from dev_stack.child_server import free_ports
from dev_stack.stack import EmbeddedStack
from entrypoints.http.metrics import HttpMetrics
from starter.schedules import JOBS, apply_schedules, pause

PROMETHEUS_OWN = {"up": {"job", "instance"}}
DASHBOARD = json.loads(page("ops/grafana/worksub.json"))
RULES = [
    rule
    for file in ("alerts.yml", "alerts-api.yml", "alerts-codec.yml")
    for group in yaml.safe_load(page(f"ops/prometheus/{file}"))["groups"]
    for rule in group["rules"]
]


@pytest.fixture(scope="module")
async def metrics(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    """Return the metrics after the subscriptions below."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    runtime = telemetry_runtime(address)
    async with open_worker_env(stack, tmp_path_factory.mktemp("watched"), runtime) as worker_env:
        service_env = worker_env.service_env
        async with service_env.worker():
            await subscription_with_failures(service_env)
            await a_trial_that_ends(service_env)
            await simulated_subscription(service_env)
            await attention_cases(service_env)
            await workflows_that_fail(service_env)
            await a_paused_schedule(service_env)
            await GaugeSampler(service_env.pool, service_env.temporal, runtime.metric_meter).sample()
            yield await scraped(f"http://{address}/metrics")


async def subscription_with_failures(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    today = f"{await subscription.today()}"
    await subscription.expect_refusal("cancel", date=today, confirmation="nobody@nowhere")
    await subscription.handle.signal("cancel", {"date": today})
    await subscription.handle.signal("erase_everything")
    await subscription.send("switch_to_paid", date=today, term="ANNUAL")
    await renamed_at_the_second_attempt(service_env, subscription)
    await subscription.send("cancel", date=today)
    await subscription.has_closed()


async def renamed_at_the_second_attempt(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    await service_env.owner.execute("ALTER TABLE account_names RENAME TO elsewhere")
    renaming = asyncio.create_task(subscription.send("rename_account", group=unique_name("acme")))

    async def has_failed() -> bool:
        description = await subscription.handle.describe()
        return any(
            pending_activity.attempt > 1
            for pending_activity in description.raw_description.pending_activities
        )

    await wait_for("an attempt has failed", has_failed)
    await service_env.owner.execute("ALTER TABLE elsewhere RENAME TO account_names")
    await renaming


async def a_trial_that_ends(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    trial_ends_at = (await subscription.status()).trial_ends_at
    assert trial_ends_at is not None
    await subscription.advance_clock_to(trial_ends_at + timedelta(hours=1))


async def simulated_subscription(service_env: ServiceEnv) -> None:
    """Run two months; at their end no fee is due for the current month."""
    subscription = await service_env.paid("2027-01-01 09:00", term="MONTHLY")
    await subscription.advance_to("2027-03-01 00:00")
    await subscription.cancel_and_wait("2027-03-01 09:00")


async def attention_cases(service_env: ServiceEnv) -> None:
    """Create a subscription with NeedsAttention and a late deadline, and two reconciliation runs."""
    subscription = await service_env.requested()
    await subscription.handle.signal("needs_attention", {"needed": True, "reason": "T-4711"})

    async def is_listed() -> bool:
        return (await service_env.temporal.count_workflows("NeedsAttention = true")).count > 0

    await wait_for("it is listed", is_listed)
    await service_env.owner.execute(
        """
        UPDATE subscriptions SET next_deadline_at = clock_timestamp() - interval '1 hour'
         WHERE subscription_id = $1
        """,
        subscription.id,
    )
    await service_env.owner.execute(
        """
        INSERT INTO reconciliations (run, started_at, finished_at, checked) VALUES
            ('the latest', '2027-03-15 03:00Z', '2027-03-15 03:05Z', 4),
            ('the one before', '2027-03-14 03:00Z', '2027-03-14 03:05Z', 4);
        INSERT INTO reconciliation_findings (run, subscription_id, code, message, repaired, resolved_at)
            VALUES
            ('the latest', 'a', 'ROW_DIFFERS', '', true, NULL),
            ('the latest', 'b', 'WORKFLOW_STUCK', '', false, NULL),
            ('the latest', 'c', 'CHARGE_UNRECKONED', '', false, NULL),
            ('the latest', 'd', 'WORKFLOW_STUCK', '', false, '2027-03-15 09:00Z'),
            ('the one before', 'e', 'WORKFLOW_STUCK', '', false, NULL)
        """
    )
    await webhook_cases(service_env)


async def webhook_cases(service_env: ServiceEnv) -> None:
    """Create deliveries: one waits for two hours, one for one hour, two are parked, one has no endpoint.

    Two test deliveries of `worksub webhooks test`, one older than all others, are not counted.
    """
    await service_env.owner.execute(
        """
        INSERT INTO webhook_endpoints (endpoint_id, customer_id, url, removed_at) VALUES
            ('here', 'nobody', 'https://hooks.example', NULL),
            ('removed', 'nobody', 'https://hooks.example', clock_timestamp());
        WITH event AS (SELECT subscription_id, sequence, row_number() OVER () AS number FROM lifecycle_events)
        INSERT INTO webhook_deliveries (endpoint_id, subscription_id, sequence, state, queued_at,
                                        completed_at)
        SELECT endpoint_id, subscription_id, sequence, state, queued_at, completed_at
          FROM event JOIN (VALUES
            (1, 'here', 'WAITING', clock_timestamp() - interval '2 hours', NULL::timestamptz),
            (2, 'here', 'WAITING', clock_timestamp() - interval '1 hour', NULL),
            (3, 'here', 'PARKED', '2027-03-10 03:00Z', '2027-03-13 03:00Z'),
            (4, 'here', 'PARKED', '2027-03-10 04:00Z', '2027-03-13 04:00Z'),
            (5, 'here', 'DELIVERED', '2027-03-10 05:00Z', '2027-03-10 05:00Z'),
            (6, 'removed', 'PARKED', '2027-03-10 03:00Z', '2027-03-13 03:00Z'))
               AS delivery (number, endpoint_id, state, queued_at, completed_at) USING (number);
        INSERT INTO webhook_deliveries (endpoint_id, state, queued_at, completed_at) VALUES
            ('here', 'WAITING', clock_timestamp() - interval '9 hours', NULL),
            ('here', 'PARKED', '2027-03-10 03:00Z', '2027-03-13 03:00Z')
        """
    )


async def workflows_that_fail(service_env: ServiceEnv) -> None:
    """Start a job with a wrong argument, and a workflow of an unknown type, whose tasks fail."""
    with pytest.raises(WorkflowFailureError):
        await service_env.temporal.execute_workflow(
            "InvoicesWorkflow", {"month": "soon"}, id=unique_name("job"), task_queue=service_env.task_queue
        )
    unknown = await service_env.temporal.start_workflow(
        "UnknownWorkflow", id=unique_name("unknown"), task_queue=service_env.task_queue
    )

    async def has_failed() -> bool:
        events = [event async for event in unknown.fetch_history_events()]
        return bool(failed_tasks(events))

    await wait_for("its task has failed", has_failed)
    await unknown.terminate()


async def a_paused_schedule(service_env: ServiceEnv) -> None:
    """Create the schedules of all jobs; pause that of the invoices."""
    await apply_schedules(service_env.temporal)
    [invoices] = [job for job in JOBS if job.name == "invoices"]
    await pause(service_env.temporal, invoices, "in a test")

    async def are_listed() -> bool:
        listed = [each async for each in await service_env.temporal.list_schedules()]
        return sorted(bool(each.schedule and each.schedule.state.paused) for each in listed) == [
            *([False] * (len(JOBS) - 1)),
            True,
        ]

    await wait_for("all schedules are listed", are_listed)


# -- the numbers -------------------------------------------------------------------------------------


def test_every_recorded_event_is_counted_once(metrics: Scraped) -> None:
    assert metrics.values("worksub_transitions_total", by="event") == {
        "TRIAL_STARTED": 4,
        "SWITCHED_TO_PAID": 2,
        "ACCOUNT_RENAMED": 1,
        "REFUSED": 2,
        "TRIAL_ENDED": 1,
        "SERVICE_FEES_POSTED": 2,
        "CONTRACT_RENEWED": 2,
        "CANCELED": 2,
        "ERASED": 2,
    }


def test_every_ledger_line_is_counted_once(metrics: Scraped) -> None:
    # The simulated subscription pays two months; the other cancels an annual contract on its first day.
    lines = metrics.values("worksub_ledger_lines_total", by="kind")
    assert lines == {"SERVICE_FEE": 2, "EARLY_TERMINATION_FEE": 1}


def test_every_refusal_is_counted_by_its_code(metrics: Scraped) -> None:
    def refusals(command: str, code: str, message_type: str) -> float | None:
        return metrics.value("worksub_refusals_total", command=command, code=code, message_type=message_type)

    assert refusals("cancel", "CONFIRMATION_DIFFERS", "UPDATE") == 1
    assert refusals("cancel", "INVALID_ARGUMENT", "SIGNAL") == 1
    assert refusals("an unknown signal", "UNKNOWN_COMMAND", "SIGNAL") == 1
    assert metrics.value("worksub_refusals_total") == 3


def test_lateness_uses_the_clock_of_the_deadline(metrics: Scraped) -> None:
    # The trial ended on its test clock. Deadlines that a simulated subscription processes on request are
    # not late.
    met = metrics.values("worksub_deadline_lateness_seconds_count", by="event")
    assert met == {"TRIAL_ENDED": 1, "ERASED": 1}
    assert metrics.values("worksub_deadline_lateness_seconds_bucket", by="event", le="3600") == met


def test_failed_attempts_are_counted_by_error_type(metrics: Scraped) -> None:
    failures = metrics.values("worksub_effect_failures_total", by="error", activity_type="record_transition")
    assert set(failures) == {"UndefinedTableError"}
    assert failures["UndefinedTableError"] >= 1


def test_gauges_match_database_and_temporal(metrics: Scraped) -> None:
    assert metrics.values("worksub_subscriptions", by="state") == {
        "PROVISIONING": 0,
        "REJECTED": 0,
        "TRIAL": 1,
        "SUSPENDED": 1,
        "ACTIVE": 0,
        "CANCELED": 0,
        "ERASED": 2,
    }
    assert metrics.value("worksub_deadlines_overdue") == 1
    longest = metrics.value("worksub_deadlines_overdue_longest_seconds")
    assert longest is not None
    assert longest >= 3600
    assert metrics.values("worksub_needing_attention", by="kind") == {
        "EFFECT_FAILS": 0,
        "COMPARISON": 0,
        "OPERATOR": 1,
        "UNKNOWN": 0,
    }
    assert metrics.value("worksub_reconciliation_findings") == 2
    at = metrics.value("worksub_reconciliation_timestamp_seconds")
    assert at == datetime(2027, 3, 15, 3, 5, tzinfo=UTC).timestamp()
    assert metrics.value("worksub_webhooks_waiting") == 2
    waiting_for = metrics.value("worksub_webhooks_waiting_longest_seconds")
    assert waiting_for is not None
    assert 2 * 3600 <= waiting_for < 9 * 3600
    assert metrics.value("worksub_webhooks_parked") == 2


def test_a_paused_schedule_is_not_active(metrics: Scraped) -> None:
    assert metrics.values("worksub_schedule_active", by="schedule") == {
        "reconcile": 1,
        "purge": 1,
        "invoices": 0,
        "notices": 1,
    }


def test_every_scheduled_job_has_metrics() -> None:
    assert tuple(job.schedule_id for job in JOBS) == tuple(f"worksub-{name}" for name in SCHEDULED_JOBS)


async def test_never_run_reconciliation_is_as_old_as_the_database(stack: EmbeddedStack) -> None:
    measured = MetricBuffer(10_000)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=measured))
    client = await Client.connect(
        stack.addresses.temporal_address, data_converter=data_converter(), runtime=runtime
    )
    async with open_service_env(stack, client, works=False) as service_env:
        await GaugeSampler(service_env.pool, client, runtime.metric_meter).sample()
        set_up_at = await service_env.owner.fetchval("SELECT min(applied_at) FROM schema_migrations")
    gauges = {update.metric.name: update.value for update in measured.retrieve_updates()}
    assert gauges["worksub_reconciliation_timestamp_seconds"] == set_up_at.timestamp()
    assert gauges["worksub_reconciliation_findings"] == 0


async def test_replay_emits_no_metrics(stack: EmbeddedStack) -> None:
    measured = MetricBuffer(100_000)
    client = await Client.connect(
        stack.addresses.temporal_address,
        data_converter=data_converter(),
        runtime=Runtime(telemetry=TelemetryConfig(metrics=measured)),
    )
    counted: list[str] = []
    async with open_service_env(stack, client, works=False) as service_env:
        for _ in range(2):  # the second worker has not cached the workflow, so it replays it
            async with service_env.worker():
                if not counted:
                    subscription = await service_env.requested()
                    trial_ends_at = (await subscription.status()).trial_ends_at
                    assert trial_ends_at is not None
                    await subscription.advance_clock_to(trial_ends_at + timedelta(hours=1))
                await subscription.expect_refusal("withdraw_reservation")
            counted += [update.metric.name for update in measured.retrieve_updates()]
    assert counted.count("temporal_workflow_task_replay_latency") > 0
    assert counted.count("worksub_deadline_lateness") == 1
    assert counted.count("worksub_refusals") == 2


# -- documentation -----------------------------------------------------------------------------------


def test_monitoring_page_lists_every_metric_with_labels(metrics: Scraped) -> None:
    [table] = [each for each in tables(page("docs/monitoring.md")) if each.header[0] == "metric"]
    documented = {metric: (kind, set(re.findall(r"\w+", labels))) for metric, kind, labels, _ in table.rows}
    assert documented == {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in metrics.families.values()
        if family.name.startswith("worksub_")
    }


def promql_expressions() -> Iterator[Any]:
    """Yield every PromQL expression of the dashboard and the alerts."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield pytest.param(target["expr"], id=f"dashboard: {panel['title']} {target['refId']}")
    for rule in RULES:
        yield pytest.param(rule["expr"], id=f"alert: {rule['alert']}")


@pytest.mark.parametrize("promql", list(promql_expressions()))
def test_promql_expressions_use_existing_metrics(metrics: Scraped, promql: str) -> None:
    known = metrics.labels() | of_http_servers() | PROMETHEUS_OWN
    expression = PromqlExpression()
    promql_parser.walk(promql_parser.parse(promql), expression.visit)
    assert expression.series <= known.keys()
    for selected, matched in expression.matched:
        assert matched <= known[selected]
    assert expression.grouped <= set().union(*(known[series] for series in expression.series))


def of_http_servers() -> dict[str, set[str]]:
    """Return the labels of every time series of an HTTP server after a request."""
    metrics = HttpMetrics("api")
    metrics.issuer_gauge()
    metrics.count_request(server="api", route="/v1/catalogue", method="GET", status=200, seconds=0.1)
    return in_text(generate_latest(metrics.registry).decode()).labels()


class PromqlExpression:
    """The time series of an expression, with the labels in its selectors and in its groupings."""

    def __init__(self) -> None:
        self.series: set[str] = set()
        self.matched: list[tuple[str, set[str]]] = []
        self.grouped: set[str] = set()

    def visit(self, part: Any) -> None:
        match part:
            case promql_parser.VectorSelector(name=str(name), matchers=matchers):
                self.series.add(name)
                self.matched.append((name, {matcher.name for matcher in matchers.matchers}))
            case promql_parser.AggregateExpr(modifier=modifier) if modifier:
                self.grouped |= set(modifier.labels)


def test_dashboard_shows_every_metric(metrics: Scraped) -> None:
    shown = json.dumps(DASHBOARD)
    ours = {family.name for family in metrics.families.values() if family.name.startswith("worksub_")}
    assert {name for name in ours if name not in shown} <= {"worksub_reconciliation_timestamp_seconds"}


def test_every_alert_has_a_documented_response() -> None:
    [table] = [each for each in tables(page("docs/monitoring.md")) if each.header[0] == "alert"]
    assert {alert: severity for alert, severity, _, _ in table.rows} == {
        rule["alert"]: rule["labels"]["severity"] for rule in RULES
    }
    assert all(meaning and advice for _, _, meaning, advice in table.rows)


def test_prometheus_loads_alerts_and_scrapes_their_job() -> None:
    sample = yaml.safe_load(page("ops/prometheus/prometheus.yml"))
    assert [(ROOT / "ops" / "prometheus" / name).is_file() for name in sample["rule_files"]] == [True] * 3
    jobs = [scrape_config["job_name"] for scrape_config in sample["scrape_configs"]]
    assert jobs == ["worksub", "worksub-api", "worksub-codec"]
