"""The environment of a chaos run: servers, workers and clients, which keep their addresses after a kill."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from adapters.settings import read_catalogue
from adapters.temporal.data_converter import data_converter
from dev_stack.child_server import (
    LOOPBACK,
    POLL_SECONDS,
    STOP_SECONDS,
    EmbeddedServer,
    ServerError,
    free_ports,
)
from dev_stack.load_balancer import LoadBalancer
from dev_stack.postgres_server import PostgresServer
from dev_stack.temporal_server import TemporalServer
from starter.api_keys import ApiKeyStore
from starter.client import SubscriptionClient
from starter.setup import set_up
from starter.webhook_endpoints import WebhookEndpointStore
from subscription.catalogue import PriceBook

from .dns_server import FaultyDnsServer
from .planned_subscriptions import API_CUSTOMERS, CATALOGUE_TEXT
from .polling import quiet
from .processes import Api, ClientProcess, Worker
from .webhook_receivers import Receiver

DATABASE = LOGIN = "chaos"
_PASSWORD = "chaos"
_ASKERS = 2
_APIS = 2
# So few events per run that every subscription continues as new several times a year.
_EVENTS_A_RUN = 40


class ChaosEnvironment:
    """`async with ChaosEnvironment(directory) as world`: everything runs, and no request has been sent.

    Attributes, valid while it is entered: `temporal` and `postgres`, the servers; `dns`; `workers`, two:
    in a long run, the second caches no workflows; `apis`, two behind a load balancer; `client_processes`;
    `tokens` and `receivers` of the customers that use the API and webhooks; `client`, which belongs to
    this process; `book`, the prices.
    """

    client: SubscriptionClient
    client_of_temporal: Client

    def __init__(self, directory: Path, *, long: bool) -> None:
        self._directory = directory
        # Without a cache, workflow tasks of concurrent commands time out after ten seconds.
        self._settings_of_second_worker = {"WORKSUB_CACHED_WORKFLOWS": "0"} if long else {}
        temporal_port, postgres_port, balancer_port, *self._api_ports = free_ports(3 + _APIS)
        self._api_address = f"{LOOPBACK}:{balancer_port}"
        self.temporal = TemporalServer(
            directory / "temporal",
            search_attributes={},
            port=temporal_port,
            dynamic_config=[f"limit.historyCount.suggestContinueAsNew={_EVENTS_A_RUN}"],
        )
        self.postgres = PostgresServer(directory / "postgres", port=postgres_port)
        self.dns = FaultyDnsServer()
        self.workers: list[Worker] = []
        self.apis: list[Api] = []
        self.client_processes: list[ClientProcess] = []
        self.tokens: dict[str, str] = {}
        self.receivers = [Receiver(customer_id) for customer_id in API_CUSTOMERS]
        self._catalogue_file = directory / "catalogue.toml"
        self._catalogue_file.write_text(CATALOGUE_TEXT, encoding="utf-8")
        self.book = PriceBook(versions=(read_catalogue(self._catalogue_file),))
        self._stack = AsyncExitStack()
        self._url = f"postgresql://{LOGIN}:{_PASSWORD}@{LOOPBACK}:{postgres_port}/{DATABASE}"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        for server in (self.postgres, self.temporal):
            await self._stack.enter_async_context(server)
        self._stack.enter_context(self.dns)
        owner_url = await self.postgres.ensure_database(DATABASE)
        self.client_of_temporal = await Client.connect(
            self.temporal.address, data_converter=data_converter(), runtime=quiet()
        )
        await set_up(self.client_of_temporal, owner_url, self.book.versions[0])
        async with self.owner() as owner:
            await _make_login(owner)
        pool = await self._stack.enter_async_context(create_pool(self._url, "worksub_reader", connections=20))
        self.client = SubscriptionClient(self.client_of_temporal, pool)
        await self._register_customers()
        settings = {
            "DATABASE_URL": self._url,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "WORKSUB_CATALOGUE": str(self._catalogue_file),
            "WORKSUB_DNS_RESOLVERS": self.dns.address,
            "WORKSUB_WEBHOOK_TARGETS": "any",  # receivers are on this machine
        }
        for number, port in enumerate(self._api_ports, start=1):
            api = Api(self._directory / f"api-{number}", settings, port)
            self._stack.push_async_callback(api.end_for_good)
            self.apis.append(api)
        balancer = LoadBalancer(self._api_address, [api.address for api in self.apis])
        await self._stack.enter_async_context(balancer)
        for number, own in enumerate(({}, self._settings_of_second_worker), start=1):
            worker = Worker(self._directory / f"worker-{number}", settings | own)
            self._stack.push_async_callback(worker.end, signal.SIGTERM)
            self.workers.append(worker)
        async with asyncio.TaskGroup() as starting:
            for process in (*self.workers, *self.apis):
                starting.create_task(process.start())
            for _ in range(_ASKERS):
                starting.create_task(self._start_client_process(settings))

    async def _register_customers(self) -> None:
        """Create an API key and a webhook endpoint for each customer that uses the API."""
        async with create_pool(self._url, "worksub_admin", connections=1) as pool:
            for receiver in self.receivers:
                await receiver.open()
                self._stack.push_async_callback(receiver.close)
                receiver.secret = (
                    await WebhookEndpointStore(pool).add(receiver.url, receiver.customer_id)
                ).secret
                key = await ApiKeyStore(pool).create(receiver.customer_id, "chaos")
                self.tokens[receiver.customer_id] = key.token

    async def _start_client_process(self, settings: Mapping[str, str]) -> None:
        client_process = await ClientProcess.start(settings, self._url, f"http://{self._api_address}")
        self._stack.push_async_callback(client_process.end)
        self.client_processes.append(client_process)

    def owner(self, database: str = DATABASE) -> "Owner":
        """`async with` a connection of a superuser, which also writes while the database is read-only."""
        return Owner(self.postgres.dsn(database))

    async def kill(self, server: EmbeddedServer) -> None:
        """SIGKILL the server, and wait until it is dead."""
        os.kill(server.pid, signal.SIGKILL)
        with suppress(ServerError):  # raised when the process has ended
            await server.wait_for_end()
        await server.__aexit__(None, None, None)

    async def begin_again(self, server: EmbeddedServer) -> None:
        """Start a killed server again with the same address and data."""
        give_up = time.monotonic() + STOP_SECONDS
        while True:
            try:
                await server.__aenter__()
            except ServerError:  # its child processes still lock the data for a moment
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(POLL_SECONDS)
            else:
                return


class Owner:
    """A connection of the database's owner, open while it is entered."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection: asyncpg.Connection = await asyncpg.connect(
            self._url, server_settings={"default_transaction_read_only": "off"}
        )
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.terminate() if error else await self._connection.close()


async def _make_login(owner: asyncpg.Connection) -> None:
    """Create a login like that of a deployment: a member of the service's roles, and no superuser."""
    roles = await owner.fetch(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'worksub\_%'")
    member_of = ", ".join(role["rolname"] for role in roles)
    await owner.execute(f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{_PASSWORD}' IN ROLE {member_of}")
    # A killed server loses nothing that it has written. Only a power failure would, and this run has none.
    await owner.execute("ALTER SYSTEM SET fsync = off")
    await owner.execute("SELECT pg_reload_conf()")
