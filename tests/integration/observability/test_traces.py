"""Traces: a command is one trace, from the caller through the workflow to the activity."""

import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.cli_runner import Cli
from support.observability import collecting, received, tree
from support.request_files import PASSWORD, request_file
from support.service_env import open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from support.worker_env import WorkerEnv, open_worker_env
from support.worker_process import worker_process
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, Interceptor, OutboundInterceptor, SignalWorkflowInput

from adapters.observability.tracing_interceptor import CommandTracingInterceptor
from adapters.temporal.client import ConnectionSettingsError, tracing
from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient

CALLER, WORKER = "worksub", "worksub-worker"
UNREACHABLE_COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.fixture(scope="module")
async def worker_env(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerEnv]:
    async with open_worker_env(stack, tmp_path_factory.mktemp("traces")) as opened:
        yield opened


async def test_processes_export_each_command_as_one_trace(worker_env: WorkerEnv) -> None:
    with collecting() as collector:
        settings = {**worker_env.settings, **collector.settings}
        async with worker_process(settings, worker_env.home) as worker:
            await worker.says("Working on")
            cli = Cli(settings, worker_env.home)
            request = await cli.json("request", request_file(cli), "--password-stdin", typed=PASSWORD)
            subscription_id = request["subscription_id"]
            named = cli.with_settings(OTEL_SERVICE_NAME="console")
            assert (await named.run("withdraw", subscription_id)).code == 1
            # A command whose collector cannot be reached has its result, and reports the lost spans once.
            unreachable = cli.with_settings(**UNREACHABLE_COLLECTOR)
            ended = await unreachable.run("switch", subscription_id, "--date", "today", "--term", "ANNUAL")
            assert ended.code == 0
            worker.send(signal.SIGTERM)
            assert await worker.exit_code() == 0  # its last spans have arrived
    assert tree(collector.spans, "StartUpdateWithStartWorkflow:SubscriptionWorkflow") == [
        f"{CALLER} StartUpdateWithStartWorkflow:SubscriptionWorkflow",
        [f"{WORKER} HandleUpdate:request"],
        [
            f"{WORKER} RunWorkflow:SubscriptionWorkflow",
            [
                f"{WORKER} StartActivity:provision_subscription",
                [f"{WORKER} RunActivity:provision_subscription"],
            ],
        ],
    ]
    for span in collector.spans:
        assert span.attributes["temporalWorkflowID"] == f"subscription-{subscription_id}"
    assert tree(collector.spans, "StartWorkflowUpdate:withdraw_reservation") == [
        "console StartWorkflowUpdate:withdraw_reservation",
        [f"{WORKER} RefuseUpdate:withdraw_reservation"],
    ]
    [refusal] = [span for span in collector.spans if span.name.startswith("RefuseUpdate")]
    assert refusal.attributes["worksub.refusal_code"] == "NOTHING_RESERVED"
    assert [line for line in ended.err.splitlines() if "spans" in line] == [
        "Failed to export spans batch due to timeout, max retries or shutdown."
    ]


async def test_deadlines_and_other_commands_are_separate_traces(stack: EmbeddedStack) -> None:
    exported = InMemorySpanExporter()
    caller, worker = [await connected_to(stack, tracing_to(exported, name)) for name in (CALLER, WORKER)]
    async with open_service_env(stack, worker) as service_env:
        client = SubscriptionClient(caller, service_env.reader, task_queue=service_env.task_queue)
        body = service_env.request_body()
        subscription = SubscriptionDriver(client, caller, (await client.request(body)).subscription_id, body)
        today = f"{await subscription.today()}"
        await subscription.send("switch_to_paid", date=today, term="ANNUAL")
        await subscription.send("cancel", date=today)
        await subscription.has_closed()
    spans = [received(span) for span in exported.get_finished_spans()]
    assert tree(spans, "StartWorkflowUpdate:switch_to_paid") == [
        f"{CALLER} StartWorkflowUpdate:switch_to_paid",
        [
            f"{WORKER} HandleUpdate:switch_to_paid",
            [f"{WORKER} StartActivity:count_members_in_use", [f"{WORKER} RunActivity:count_members_in_use"]],
            [f"{WORKER} StartActivity:record_transition", [f"{WORKER} RunActivity:record_transition"]],
        ],
    ]
    assert tree(spans, "StartWorkflowUpdate:cancel")[0] == f"{CALLER} StartWorkflowUpdate:cancel"
    # The erasure follows the answer: it belongs to the trace of no caller.
    assert tree(spans, "RunActivity:erase_subscription") == [f"{WORKER} RunActivity:erase_subscription"]


def tracing_to(exported: InMemorySpanExporter, service: str) -> CommandTracingInterceptor:
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return CommandTracingInterceptor(provider.get_tracer("worksub"))


async def test_replay_creates_no_spans(stack: EmbeddedStack) -> None:
    exported = InMemorySpanExporter()
    traced = await connected_to(stack, tracing_to(exported, WORKER))
    async with open_service_env(stack, traced, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.requested()
            await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
            await subscription.is_at_rest_in_run(2)
        async with service_env.worker():  # it has not cached the workflow, so it replays it
            await subscription.expect_refusal("withdraw_reservation")
    names = [span.name for span in exported.get_finished_spans()]
    assert names.count("HandleUpdate:switch_to_paid") == 1
    assert names.count("StartActivity:record_transition") == 1
    assert names.count("RefuseUpdate:withdraw_reservation") == 1


@pytest.mark.parametrize("nonsense", [b"no JSON", b"[]", b'{"traceparent": "nobody"}'])
async def test_unreadable_trace_header_blocks_nothing(stack: EmbeddedStack, nonsense: bytes) -> None:
    traced = await connected_to(stack, CommandTracingInterceptor(TracerProvider().get_tracer("worksub")))
    async with open_service_env(stack, traced) as service_env:
        subscription = await service_env.requested()
        stranger = await connected_to(stack, SendsAsTrace(nonsense))
        await stranger.get_workflow_handle(subscription.workflow_id).signal(
            "rename_account", {"group": unique_name("renamed")}
        )
        assert await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
        assert await subscription.events() == ["TRIAL_STARTED", "ACCOUNT_RENAMED", "SWITCHED_TO_PAID"]
        assert await subscription.failed_tasks() == []


async def connected_to(stack: EmbeddedStack, interceptor: Interceptor) -> Client:
    return await Client.connect(
        stack.addresses.temporal_address,
        data_converter=data_converter(),
        interceptors=[interceptor],
    )


class SendsAsTrace(Interceptor):
    """An interceptor that sends signals with this data instead of a trace header."""

    def __init__(self, data: bytes) -> None:
        self.header = Payload(metadata={"encoding": b"json/plain"}, data=data)

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        header = self.header

        class Sending(OutboundInterceptor):
            async def signal_workflow(self, input: SignalWorkflowInput) -> None:
                input.headers = {"_tracer-data": header}
                await super().signal_workflow(input)

        return Sending(next)


async def test_another_protocol_is_refused_by_worker_and_command(worker_env: WorkerEnv) -> None:
    settings = {**worker_env.settings, **UNREACHABLE_COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    async with worker_process(settings, worker_env.home) as worker:
        assert await worker.exit_code() == 2
    assert worker.output == "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or unset.\n"
    ended = await Cli(settings, worker_env.home).run("list", "--json")
    assert (ended.code, ended.error["code"]) == (3, "TEMPORAL_SETTINGS")
    assert ended.error["message"] + "\n" == worker.output


def test_tracing_requires_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in UNREACHABLE_COLLECTOR.items():
        monkeypatch.setenv(name, value)
    for module in ("trace_exporter", "tracing_interceptor"):
        monkeypatch.delitem(sys.modules, f"adapters.observability.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if not installed
    with pytest.raises(ConnectionSettingsError, match=r"is not installed: pip install 'worksub\[tracing\]'."):
        tracing("a service that no other test traces")


async def test_untraced_worker_runs_without_opentelemetry(worker_env: WorkerEnv, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError('as if not installed')\n")
    without = {**worker_env.settings, "PYTHONPATH": str(tmp_path)}
    async with worker_process(without, worker_env.home, forked=False) as worker:
        await worker.says("Working on")
