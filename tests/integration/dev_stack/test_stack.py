"""The embedded stack as real processes: it responds, keeps and protects its data, and ends."""

import asyncio
import http.client
import os
import random
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest
from support.polling import wait_for
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from dev_stack import temporal_server
from dev_stack.addresses import find_stack
from dev_stack.child_server import free_ports, port_is_free
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.stack import EmbeddedStack, StackError

SEARCH_ATTRIBUTES = {"Colour": "Keyword"}
COLOUR = SearchAttributeKey.for_keyword("Colour")


@pytest.fixture(scope="module")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
async def stack(stack_directory: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(stack_directory, search_attributes=SEARCH_ATTRIBUTES) as running:
        yield running


@pytest.fixture(scope="module")
async def client(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, namespace=stack.addresses.namespace)


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
    assert personal.encode() in await stack.temporal.stored_bytes()

    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=handle.id)
        )
    )

    database = stack_directory / "temporal" / "temporal.db"

    def checkpointed() -> bytes:
        with closing(sqlite3.connect(database, timeout=10)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return database.read_bytes()

    async def is_gone() -> bool:
        return personal.encode() not in await asyncio.to_thread(checkpointed)

    # The server answers that the workflow does not exist before it deletes the history.
    await wait_for("the history is gone from the file", is_gone)


def moved_and_deleted_rows(database: Path, personal: str) -> None:
    """Insert rows between others, so that SQLite moves some to other pages, and delete a third of them."""
    chance = random.Random(31)
    keys = [chance.randbytes(16) for _ in range(300)]
    values = dict.fromkeys(keys, "other") | dict.fromkeys(keys[:100], personal)
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute("PRAGMA secure_delete = on")
        connection.execute("CREATE TABLE moved (key, number, value, PRIMARY KEY (key, number)) WITHOUT ROWID")
        for number in range(10):
            rows = [(key, number, values[key] * chance.randint(1, 12)) for key in keys]
            connection.executemany("INSERT INTO moved VALUES (?, ?, ?)", rows)
        connection.executemany("DELETE FROM moved WHERE key = ?", [(key,) for key in keys[:100]])
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def test_stored_bytes_have_no_copies_of_moved_rows(stack: EmbeddedStack, stack_directory: Path) -> None:
    database, personal = stack_directory / "temporal" / "temporal.db", "Kim-Chulsoo-of-Hanyang"
    await asyncio.to_thread(moved_and_deleted_rows, database, personal)
    assert personal.encode() in database.read_bytes(), "secure_delete overwrites moved rows"
    assert personal.encode() not in await stack.temporal.stored_bytes()


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
