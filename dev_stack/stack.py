"""The local stack: Temporal, PostgreSQL and DNS, with their data in one directory."""

import asyncio
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from dev_stack.addresses import ADDRESSES_FILE, StackAddresses
from dev_stack.child_server import DirectoryLock, ServerError
from dev_stack.dns_server import DnsServer
from dev_stack.postgres_server import API_LOGIN, READER_LOGIN, WORKER, PostgresServer, as_login
from dev_stack.reserved_ports import DefaultPorts
from dev_stack.temporal_server import TemporalServer

DATABASE = "worksub"


class StackError(Exception):
    """The embedded stack cannot start. The message is a sentence for users."""


class StackEndedError(StackError):
    """A server of a running stack has ended. The message contains the end of the server's log."""


class EmbeddedStack:
    """Three servers with persistent data: `async with EmbeddedStack(directory, …) as stack` runs them.

    The stack creates an empty database `worksub`; `worksub setup` creates the schema. DNS records are not
    persistent. Other processes find a running stack with `find_stack(directory)`.

    Args:
        directory: contains `temporal/`, `postgres/` and, while the stack runs, `stack.json`.
        search_attributes: as for TemporalServer.
        default_ports: as for TemporalServer.
        codec_url: as for TemporalServer.
        on_progress: called with a sentence before each slow step.

    Attributes, valid while the stack runs: `addresses`, `temporal`, `postgres`, `dns`.

    Raises on entering:
        StackError: another process runs a stack on this directory, or a server does not start.
    """

    addresses: StackAddresses
    temporal: TemporalServer

    def __init__(
        self,
        directory: Path,
        *,
        search_attributes: Mapping[str, str],
        default_ports: DefaultPorts | None = None,
        codec_url: str | None = None,
        on_progress: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._directory = directory
        self._search_attributes = search_attributes
        self._default_ports = default_ports
        self._codec_url = codec_url
        self._on_progress = on_progress
        self._running = contextlib.AsyncExitStack()
        self.postgres = PostgresServer(directory / "postgres")
        self.dns = DnsServer()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except ServerError as error:
            await self._running.aclose()
            raise StackError(str(error)) from error
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._on_progress("Stopping the servers…")
        await self._running.aclose()

    async def _start(self) -> None:
        await self._running.enter_async_context(DirectoryLock(self._directory))
        self._on_progress("Starting PostgreSQL and Temporal…")
        self.temporal = self._temporal_server()
        try:
            async with asyncio.TaskGroup() as starts:
                database = starts.create_task(self._start_postgres())
                starts.create_task(self._running.enter_async_context(self.temporal))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        database_url = database.result()
        self._running.enter_context(self.dns)
        self.addresses = StackAddresses(
            temporal_address=self.temporal.address,
            namespace=self.temporal.namespace,
            ui_url=self.temporal.ui_url,
            database_url=database_url,
            worker_url=as_login(database_url, WORKER),
            api_url=as_login(database_url, API_LOGIN),
            reader_url=as_login(database_url, READER_LOGIN),
            dns_address=self.dns.address,
            pid=os.getpid(),
        )
        self._write_addresses()

    async def _start_postgres(self) -> str:
        """Return the URL of the empty database."""
        await self._running.enter_async_context(self.postgres)
        return await self.postgres.ensure_database(DATABASE)

    def _temporal_server(self) -> TemporalServer:
        return TemporalServer(
            self._directory / "temporal",
            search_attributes=self._search_attributes,
            default_ports=self._default_ports,
            codec_url=self._codec_url,
        )

    def _write_addresses(self) -> None:
        file = self._directory / ADDRESSES_FILE
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)  # private, because the addresses contain passwords
        unfinished.write_text(json.dumps(dataclasses.asdict(self.addresses), indent=2))
        unfinished.replace(file)
        self._running.callback(file.unlink, missing_ok=True)
