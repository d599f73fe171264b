"""The embedded servers as real processes: they respond, keep and protect their data, and end."""

import asyncio
import http.client
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import asyncpg
import dns.asyncresolver
import dns.nameserver
import dns.resolver
import pytest
from support.polling import wait_for
from support.postgres_data import copy_data
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from dev_stack import postgres_server, temporal_server
from dev_stack.addresses import find_stack
from dev_stack.child_server import ChildProcess, DirectoryLock, ServerError, free_ports, port_is_free
from dev_stack.dns_server import DnsServer
from dev_stack.postgres_server import PostgresServer
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.stack import EmbeddedStack, StackError
from dev_stack.temporal_server import TemporalServer
from starter.subscription_clock import SubscriptionClock

TASK_QUEUE = "test-embedded"
SEARCH_ATTRIBUTES = {"Colour": "Keyword"}
COLOUR = SearchAttributeKey.for_keyword("Colour")


@workflow.defn
class Sleeper:
    """A workflow that sleeps one day at a time, `days` times per run, through `runs` more runs."""

    @workflow.init
    def __init__(self, days: int, runs: int, wakes: int) -> None:
        self._wakes = wakes

    @workflow.run
    async def run(self, days: int, runs: int, wakes: int) -> None:
        for _ in range(days):
            await workflow.sleep(timedelta(days=1))
            self._wakes += 1
        if runs:
            workflow.continue_as_new(args=[days, runs - 1, self._wakes])

    @workflow.update
    async def now(self) -> datetime:
        """Return the workflow's own time."""
        return workflow.now()

    @workflow.query
    def wakes(self) -> int:
        """Return the number of days that it has slept, in this run and the earlier ones."""
        return self._wakes


@pytest.fixture(scope="module")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
async def stack(stack_directory: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(stack_directory, search_attributes=SEARCH_ATTRIBUTES) as running:
        yield running


@pytest.fixture
def stopped_stack(postgres_data: Path, tmp_path: Path) -> Path:
    """Return the directory of a stack that has PostgreSQL data."""
    directory = tmp_path / "stack"
    copy_data(postgres_data, directory)
    return directory


@pytest.fixture(scope="module")
async def client(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, namespace=stack.addresses.namespace)


def serving(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Sleeper],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="test",
    )


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[None]:
    async with serving(client):
        yield


async def start_sleeper(client: Client, name: str, *, days: int, runs: int = 0) -> SubscriptionClock:
    await client.start_workflow(Sleeper.run, args=[days, runs, 0], id=name, task_queue=TASK_QUEUE)
    return SubscriptionClock(client, name)


# The stack


async def test_stack_servers_respond(stack: EmbeddedStack, client: Client) -> None:
    handle = await client.start_workflow(
        "Unserved",
        id="coloured",
        task_queue="nobody-listens",
        search_attributes=TypedSearchAttributes([SearchAttributePair(COLOUR, "green")]),
    )
    description = await handle.describe()
    assert description.typed_search_attributes[COLOUR] == "green"

    database = await asyncpg.connect(stack.addresses.database_url)
    assert await database.fetchval("SELECT current_database()") == "worksub"
    await database.close()

    ui = http.client.HTTPConnection(stack.addresses.ui_url.removeprefix("http://"))
    ui.request("GET", "/")
    assert ui.getresponse().status == 200
    ui.close()


def test_server_files_are_readable_by_owner_only(stack: EmbeddedStack, stack_directory: Path) -> None:
    files = [path for path in stack_directory.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {
        "temporal.db",
        "temporal.db-wal",
        "temporal.log",
        "postgres.log",
        "stack.json",
        "password",
    } <= names
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_servers_ignore_ctrl_c_of_the_terminal(stack: EmbeddedStack) -> None:
    assert os.getsid(stack.temporal.pid) == stack.temporal.pid
    assert os.getsid(stack.postgres.pid) == stack.postgres.pid


def test_another_process_finds_a_running_stack(
    stack: EmbeddedStack, stack_directory: Path, tmp_path: Path
) -> None:
    assert find_stack(stack_directory) == stack.addresses
    assert find_stack(tmp_path) is None


async def test_a_second_stack_on_the_same_data_is_refused(
    stack: EmbeddedStack, stack_directory: Path
) -> None:
    with pytest.raises(StackError, match=f"in use by process {os.getpid()}: stop that process first"):
        async with EmbeddedStack(stack_directory, search_attributes={}):
            pass
    assert find_stack(stack_directory) == stack.addresses


async def test_deleted_data_leaves_the_database_file(
    client: Client, stack: EmbeddedStack, stack_directory: Path
) -> None:
    personal = "Hong-Gildong-of-Hanyang"
    handle = await client.start_workflow("Unserved", personal, id="personal", task_queue="nobody-listens")
    await stack.temporal.checkpoint()
    database = stack_directory / "temporal" / "temporal.db"
    assert personal.encode() in database.read_bytes()

    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=handle.id)
        )
    )

    async def is_gone() -> bool:
        await stack.temporal.checkpoint()
        return personal.encode() not in database.read_bytes()

    # The server answers that the workflow does not exist before it deletes the history.
    await wait_for("the history is gone from the file", is_gone)


@asynccontextmanager
async def default_ports(report: Callable[[str], None]) -> AsyncIterator[DefaultPorts]:
    with DefaultPorts(report) as ports:
        yield ports


async def test_data_survive_a_restart_and_a_move(
    stopped_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_port, default_ui_port = free_ports(2)
    monkeypatch.setattr(temporal_server, "DEFAULT_PORT", default_port)
    monkeypatch.setattr(temporal_server, "DEFAULT_UI_PORT", default_ui_port)
    before, after = stopped_stack, tmp_path / "after"
    steps: list[str] = []

    async with (
        default_ports(steps.append) as ports,
        EmbeddedStack(before, search_attributes={}, default_ports=ports, on_progress=steps.append) as stack,
    ):
        assert stack.addresses.temporal_address.endswith(f":{default_port}")
        assert stack.addresses.ui_url.endswith(f":{default_ui_port}")
        client = await Client.connect(stack.addresses.temporal_address)
        await client.start_workflow("Unserved", id="before", task_queue="nobody-listens")
        database = await asyncpg.connect(stack.addresses.database_url)
        await database.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await database.close()
    assert steps == ["Starting PostgreSQL and Temporal…", "Stopping the servers…"]
    assert find_stack(before) is None

    before.rename(after)
    with (
        socket.create_server(("127.0.0.1", default_port)),
        socket.create_server(("127.0.0.1", default_ui_port)),
    ):
        steps.clear()
        async with (
            default_ports(steps.append) as ports,
            EmbeddedStack(
                after, search_attributes=SEARCH_ATTRIBUTES, default_ports=ports, on_progress=steps.append
            ) as stack,
        ):
            for port in (default_port, default_ui_port):
                in_use = f"Port {port} is in use by another program, so port "
                assert any(step.startswith(in_use) for step in steps)
            assert not stack.addresses.temporal_address.endswith(f":{default_port}")
            assert not stack.addresses.ui_url.endswith(f":{default_ui_port}")
            client = await Client.connect(stack.addresses.temporal_address)
            description = await client.get_workflow_handle("before").describe()
            assert description.status == WorkflowExecutionStatus.RUNNING
            # Search attributes that are new in this release also apply to data of the previous one.
            assert [found.id async for found in client.list_workflows("Colour IS NULL")] == ["before"]
            database = await asyncpg.connect(stack.addresses.database_url)
            assert await database.fetchval("SELECT answer FROM kept") == 42
            await database.close()


OWNER = """
import asyncio, pathlib, sys
from dev_stack.stack import EmbeddedStack

async def main():
    async with EmbeddedStack(pathlib.Path(sys.argv[1]), search_attributes={}) as stack:
        print(stack.addresses.temporal_address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_servers_end_with_killed_owner(stopped_stack: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stopped_stack, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        port = int((await owner.stdout.readline()).decode().rpartition(":")[2])
        found = find_stack(stopped_stack)
        assert found is not None
        assert found.pid == owner.pid
    finally:
        owner.send_signal(signal.SIGKILL)
        await owner.wait()
    assert find_stack(stopped_stack) is None

    # The start waits for the orphaned processes, which hold the lock until they have ended.
    async with EmbeddedStack(stopped_stack, search_attributes={}):
        assert port_is_free(port)


def test_default_port_is_reserved_before_server_start() -> None:
    [port] = free_ports(1)
    messages: list[str] = []
    with DefaultPorts(messages.append) as first:
        assert first.choose(port) == port
        assert first.choose(port) == port, "its own reservation is not another program's"
        with DefaultPorts(messages.append) as second:
            other = second.choose(port)
            assert messages == [f"Port {port} is in use by another program, so port {other} is used instead."]
            assert other != port
    with DefaultPorts(messages.append) as third:
        assert third.choose(port) == port
    assert len(messages) == 1


async def test_temporal_uses_another_port_if_the_default_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_port, default_ui_port = free_ports(2)
    monkeypatch.setattr(temporal_server, "DEFAULT_PORT", default_port)
    monkeypatch.setattr(temporal_server, "DEFAULT_UI_PORT", default_ui_port)
    messages: list[str] = []
    with ExitStack() as other_program, DefaultPorts(messages.append) as ports:

        class PortsTakenOnceChosen(DefaultPorts):
            def choose(self, default: int) -> int:
                port = ports.choose(default)
                if port == default_port:
                    other_program.enter_context(socket.create_server(("127.0.0.1", port)))
                return port

        server = TemporalServer(
            tmp_path, search_attributes={}, default_ports=PortsTakenOnceChosen(messages.append)
        )
        async with server:
            port = int(server.address.rpartition(":")[2])
    assert messages == [f"Port {default_port} is in use by another program, so port {port} is used instead."]
    assert server.ui_url.endswith(f":{default_ui_port}")


STOPS_WHEN_ALLOWED = """
import signal, sys
[begun, allowed] = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
open(begun, "w").close()
signal.sigwait([signal.SIGTERM])
open(begun, "w").close()
open(allowed).close()
"""


async def test_cancelled_stop_still_ends_the_process(tmp_path: Path) -> None:
    begun, allowed = tmp_path / "begun", tmp_path / "allowed"
    os.mkfifo(begun)
    os.mkfifo(allowed)
    async with DirectoryLock(tmp_path) as lock:
        process = await ChildProcess.start(
            "A server",
            [sys.executable, "-c", STOPS_WHEN_ALLOWED, begun, allowed],
            log=tmp_path / "log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
        await asyncio.to_thread(begun.read_bytes)
        stopping = asyncio.create_task(process.stop())
        await asyncio.to_thread(begun.read_bytes)
        for _ in range(2):
            stopping.cancel()
            await asyncio.wait({stopping}, timeout=0)
            assert not stopping.done(), "the process has not ended yet"
        await asyncio.to_thread(allowed.write_bytes, b"")
        with pytest.raises(asyncio.CancelledError):
            await stopping
        await process.wait_for_success()


async def test_taken_port_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is taken"):
            async with TemporalServer(tmp_path, search_attributes={}, port=port):
                pass


def test_free_ports_are_not_ephemeral() -> None:
    ports = free_ports(5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert max(ports) < listener.getsockname()[1]
    assert len(set(ports)) == 5


@pytest.mark.parametrize("module", [temporal_server, postgres_server])
async def test_server_starts_again_when_its_port_is_taken(
    module: ModuleType, stopped_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        answers = iter([[taken, *free_ports(1)]])
        monkeypatch.setattr(module, "free_ports", lambda count: next(answers, free_ports(2))[:count])
        server = (
            TemporalServer(tmp_path, search_attributes={})
            if module is temporal_server
            else PostgresServer(stopped_stack / "postgres")
        )
        async with server:
            assert server.pid
        assert next(answers, None) is None


async def test_a_server_that_ends_at_start_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_text("no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(ServerError, match=r"(?s)exit code 1.*temporal\.log:.*not a database"):
        async with TemporalServer(tmp_path, search_attributes={}):
            pass


async def test_postgres_refuses_data_that_it_cannot_read(stopped_stack: Path) -> None:
    (stopped_stack / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ServerError, match=r"(?s)exit code 1.*postgres\.log:.*incompatible"):
        async with PostgresServer(stopped_stack / "postgres"):
            pass


# DNS


@pytest.fixture
def dns_server() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def resolver(dns_server: DnsServer) -> dns.asyncresolver.Resolver:
    host, port = dns_server.address.split(":")
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(host, int(port))]
    resolver.lifetime = 60
    return resolver


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_dns_server_returns_published_records(
    dns_server: DnsServer, resolver: dns.asyncresolver.Resolver, tcp: bool
) -> None:
    dns_server.publish_txt("_proof.acme.example", "first")
    dns_server.publish_txt("_PROOF.acme.example.", "second")
    dns_server.publish_cname("alias.acme.example", "_proof.acme.example")

    answer = await resolver.resolve("_proof.acme.example", "TXT", tcp=tcp)
    assert {str(record) for record in answer} == {'"first"', '"second"'}
    answer = await resolver.resolve("alias.acme.example", "CNAME", tcp=tcp)
    assert [str(record) for record in answer] == ["_proof.acme.example."]
    answer = await resolver.resolve("alias.acme.example", "TXT", tcp=tcp)
    assert {str(record) for record in answer} == {'"first"', '"second"'}


async def test_dns_distinguishes_unknown_name_from_missing_records(
    dns_server: DnsServer, resolver: dns.asyncresolver.Resolver
) -> None:
    dns_server.publish_txt("_proof.acme.example", "token")
    for name in ("_proof.acme.example", "acme.example"):
        with pytest.raises(dns.resolver.NoAnswer):
            await resolver.resolve(name, "A")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("other.example", "TXT")

    dns_server.withdraw("_proof.acme.example")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("_proof.acme.example", "TXT")
    dns_server.publish_txt("_proof.acme.example", "token")
    dns_server.clear()
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("_proof.acme.example", "TXT")


async def test_dns_fails_on_demand(dns_server: DnsServer, resolver: dns.asyncresolver.Resolver) -> None:
    dns_server.publish_txt("_proof.acme.example", "token")
    dns_server.answer_with = "servfail"
    with pytest.raises(dns.resolver.NoNameservers):
        await resolver.resolve("_proof.acme.example", "TXT")
    dns_server.answer_with = "timeout"
    with pytest.raises(dns.resolver.LifetimeTimeout):
        await resolver.resolve("_proof.acme.example", "TXT", lifetime=0.5)
    dns_server.answer_with = "normal"
    assert len(await resolver.resolve("_proof.acme.example", "TXT")) == 1


# The test clock


@pytest.mark.usefixtures("worker")
async def test_clock_advances_twenty_days(client: Client) -> None:
    clock = await start_sleeper(client, "twenty-days", days=60)
    handle = client.get_workflow_handle("twenty-days")
    start = await clock.now()
    assert abs(start - datetime.now(UTC)) < timedelta(minutes=1)

    seen: list[datetime] = []
    target = start + timedelta(days=19, hours=12)
    assert await clock.advance_to(target, on_progress=seen.append)
    assert await handle.query(Sleeper.wakes) == 19
    assert target <= await clock.now() < target + timedelta(minutes=1)
    assert target <= await handle.execute_update(Sleeper.now) < target + timedelta(minutes=1)
    assert seen == sorted(seen)
    assert seen[0] < target <= seen[-1]

    assert await clock.advance_to(target + timedelta(days=20))
    assert await handle.query(Sleeper.wakes) == 39


@pytest.mark.usefixtures("worker")
async def test_clock_cannot_move_backwards(client: Client) -> None:
    clock = await start_sleeper(client, "not-back", days=60)
    start = await clock.now()
    assert await clock.advance_to(start - timedelta(days=1))
    assert await clock.now() < start + timedelta(minutes=1)


@pytest.mark.usefixtures("worker")
async def test_near_clock_target_is_waited_for_in_real_time(client: Client) -> None:
    """Otherwise real time could overtake a time skip to a near target."""
    clock = await start_sleeper(client, "near", days=60)
    for milliseconds in (0.1, 1, 10, 100):
        near = await clock.now() + timedelta(milliseconds=milliseconds)
        assert await clock.advance_to(near)
        assert near <= await clock.now() < near + timedelta(minutes=1)
    history = await client.get_workflow_handle("near").fetch_history()
    skips = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED
    assert skips not in {event.event_type for event in history.events}


@pytest.mark.usefixtures("worker")
async def test_clock_continues_across_continue_as_new(client: Client) -> None:
    clock = await start_sleeper(client, "runs", days=3, runs=10)
    handle = client.get_workflow_handle("runs")
    first_run = (await handle.describe()).run_id
    target = await clock.now() + timedelta(days=10, hours=12)
    assert await clock.advance_to(target)
    assert (await handle.describe()).run_id != first_run
    assert await handle.query(Sleeper.wakes) == 10
    assert await clock.advance_to(target + timedelta(days=3))
    assert await handle.query(Sleeper.wakes) == 13


@pytest.mark.usefixtures("worker")
async def test_clock_stops_at_workflow_end(client: Client) -> None:
    clock = await start_sleeper(client, "ends", days=3)
    target = await clock.now() + timedelta(days=30)
    assert not await clock.advance_to(target)
    assert await clock.now() < target
    assert not await clock.advance_to(target)


@pytest.mark.usefixtures("worker")
async def test_concurrent_clock_moves_skip_no_deadline(client: Client) -> None:
    here = await start_sleeper(client, "two-movers", days=60)
    elsewhere = SubscriptionClock(client, "two-movers")
    start = await here.now() + timedelta(hours=12)
    near, far = start + timedelta(days=10), start + timedelta(days=20)
    assert all(await asyncio.gather(here.advance_to(near), elsewhere.advance_to(far)))
    assert await client.get_workflow_handle("two-movers").query(Sleeper.wakes) == 20


async def test_a_clock_waits_until_another_process_has_moved_it(client: Client) -> None:
    clock = await start_sleeper(client, "other-process", days=60)
    handle = client.get_workflow_handle("other-process")
    other = TimeSkipper(client)
    start = await clock.now() + timedelta(hours=12)
    # While no worker takes the first workflow task, the clock of the workflow stands still.
    moved_by_other = asyncio.create_task(other.fast_forward(handle, timedelta(days=10)))
    while (info := await other.get_time_skipping_info(handle)) is None or not info.effective_config.enabled:
        pass
    moved = asyncio.create_task(clock.advance_to(start + timedelta(days=20)))
    async with serving(client):
        assert await moved_by_other
        assert await moved
        assert await handle.query(Sleeper.wakes) == 20


@pytest.mark.usefixtures("worker")
async def test_clocks_of_several_workflows_differ(client: Client) -> None:
    clocks = [await start_sleeper(client, f"own-{days}", days=30) for days in range(1, 9)]
    start = datetime.now(UTC) + timedelta(hours=12)
    targets = [start + timedelta(days=days) for days in range(1, 9)]
    assert all(
        await asyncio.gather(
            *(clock.advance_to(target) for clock, target in zip(clocks, targets, strict=True))
        )
    )
    for days in range(1, 9):
        assert await client.get_workflow_handle(f"own-{days}").query(Sleeper.wakes) == days


async def test_clock_without_workflow_is_an_error(client: Client) -> None:
    with pytest.raises(RPCError) as refused:
        await SubscriptionClock(client, "no-such-workflow").advance_to(datetime.now(UTC) + timedelta(days=1))
    assert refused.value.status == RPCStatusCode.NOT_FOUND
