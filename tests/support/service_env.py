"""Service environment: one database, task queue and worker on the servers that all tests share."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.email.settings import MailServer
from adapters.postgres import catalogue_repository
from adapters.postgres.pool import Pool, create_pool
from adapters.postgres.worker_keys import worker_signer
from dev_stack.dns_server import DnsServer
from dev_stack.postgres_server import API_LOGIN, READER_LOGIN, SUPERUSER, WORKER, as_login
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.business_calendar import KST
from subscription.catalogue import Catalogue, parse_catalogue
from subscription.message_authentication import MessageSigner
from subscription.reconciliation import ROTATION_NIGHTS
from subscription.refusals import Refusal, RefusalError
from subscription.timeline import RequestAnswer
from worker import create_worker

from .database_pool import TEMPLATE, give_back_database, remember_initial_state, take_database
from .subscription_driver import SubscriptionDriver

CATALOGUE_FILE = Path(__file__).parents[2] / "catalogue.toml"
PASSWORD = "Correct4Horse"
# Of PASSWORD, at the lowest accepted cost; computed once, because hashing is slow by design.
PASSWORD_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$C6MlUKmKR5Kc+057IypfNA$8P+40GbAxALyRlFjettoYxM2myg39niVRkANFZfbpfk"
)
TERMS = ({"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"})

_numbers = itertools.count(1)


def kst(text: str) -> datetime:
    """`kst("2027-03-15 09:00")`: an instant in Korean time; without a time, the start of that day."""
    return datetime.fromisoformat(text).replace(tzinfo=KST)


def catalogue_text(
    version: str = "2020-01",
    effective_from: str = "2020-01-01",
    announced_on: str = "2020-01-01",
    **replaced: str,
) -> str:
    """Return the repository's catalogue, always in force for these tests, with some passages replaced.

    By default it is announced years before, so that renewals pay its prices (R35). It does not limit the
    trials of a customer, because tests share customers.
    """
    text = CATALOGUE_FILE.read_text(encoding="utf-8")
    dates = f"effective_from = {effective_from}\nannounced_on = {min(announced_on, effective_from)}"
    replacements = {
        'version = "2026-11"': f'version = "{version}"',
        "effective_from = 2026-11-01": dates,
        "per_customer = 3": "",
        **replaced,
    }
    for old, new in replacements.items():
        assert old in text, f"the catalogue has no passage {old}"
        text = text.replace(old, new)
    return text


def plan_section(plan: str) -> str:
    """Return the lines of a plan in the repository's catalogue, to replace them."""
    text = CATALOGUE_FILE.read_text(encoding="utf-8")
    start = text.index(f"[plans.{plan}]")
    end = text.find("[plans.", start + 1)
    return text[start:] if end < 0 else text[start:end]


def catalogue(
    version: str = "2020-01",
    effective_from: str = "2020-01-01",
    announced_on: str = "2020-01-01",
    **replaced: str,
) -> Catalogue:
    return parse_catalogue(catalogue_text(version, effective_from, announced_on, **replaced))


async def publish(pool: Pool, newer: Catalogue) -> bool:
    """Publish a version on the day of its announcement, by the subscriptions' clocks."""
    return await catalogue_repository.publish(pool, newer, today=newer.announcement_day)


def unique_name(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@dataclass(frozen=True)
class ServiceEnv:
    """The parts of the service that a test needs, each with its production login.

    `database_url` is for the setup. `pool` has the worker's login, `reader` that of clients. `owner` has all
    privileges in the database, for inspections.
    """

    temporal: Client
    database_url: str
    task_queue: str
    pool: Pool
    reader: Pool
    owner: Pool
    client: SubscriptionClient
    dns: DnsServer
    signer: MessageSigner

    @property
    def owner_url(self) -> str:
        """Return the URL of the `owner` login, for separate connections."""
        return as_login(self.database_url, SUPERUSER)

    @property
    def worker_url(self) -> str:
        """Return the database URL of a worker process."""
        return as_login(self.database_url, WORKER)

    @property
    def api_url(self) -> str:
        """Return the database URL of an HTTP server process."""
        return as_login(self.database_url, API_LOGIN)

    @property
    def reader_url(self) -> str:
        """Return the database URL of a client process."""
        return as_login(self.database_url, READER_LOGIN)

    def worker(
        self,
        *,
        allow_simulation: bool = True,
        allow_test_clock_invoices: bool = True,
        mail_server: MailServer | None = None,
        console_url: str | None = None,
        rotation_nights: int = ROTATION_NIGHTS,
    ) -> Worker:
        return create_worker(
            self.temporal,
            self.pool,
            self.signer,
            dns_resolvers=[self.dns.address],
            mail_server=mail_server,
            console_url=console_url,
            task_queue=self.task_queue,
            allow_simulation=allow_simulation,
            allow_test_clock_invoices=allow_test_clock_invoices,
            rotation_nights=rotation_nights,
        )

    def request_body(self, **changes: Any) -> dict[str, Any]:
        """Return a valid request with a unique name and ID, with some fields changed."""
        name = unique_name("acme")
        return {
            "request_id": name,
            "customer_id": f"customer-of-{name}",
            "region": "KR",
            "platform": "VPC",
            "plan": "basic",
            "members": 10,
            "agreed_terms": list(TERMS),
            "account": {"group": name},
            "admin_id": "admin",
            "password_hash": PASSWORD_HASH,
            "company_name": "Acme Korea",
            "company_phone": "02-1234-5678",
            **changes,
        }

    async def requested(self, at: str | None = None, **changes: Any) -> SubscriptionDriver:
        """Return a subscription in its trial: with a test clock that starts now, or simulated from `at`."""
        simulated = {} if at is None else {"simulated_at": kst(at).isoformat()}
        body = self.request_body(**simulated, **changes)
        answer = await self.client.request(body)
        return SubscriptionDriver(self.client, self.temporal, answer.subscription_id, body)

    async def paid(self, at: str, term: str = "ANNUAL", **changes: Any) -> SubscriptionDriver:
        """Return a simulated subscription that switched to paid in the hour of its request."""
        subscription = await self.requested(at, **changes)
        await subscription.send("switch_to_paid", at=at, date=at[:10], term=term)
        return subscription

    async def request_outcome(self, body: Mapping[str, Any]) -> RequestAnswer | Refusal:
        """Return the response to a request, whether accepted or refused."""
        try:
            return await self.client.request(body)
        except RefusalError as refusal:
            return refusal.refused


@asynccontextmanager
async def open_stack(directory: Path) -> AsyncIterator[EmbeddedStack]:
    """Start the servers that many environments share, with a template database."""
    async with EmbeddedStack(directory, search_attributes={}) as running:
        await disable_fsync(running)
        client = await Client.connect(running.addresses.temporal_address)
        await set_up(client, await running.postgres.ensure_database(TEMPLATE), catalogue())
        yield running


async def disable_fsync(stack: EmbeddedStack) -> None:
    """Disable fsync: no test simulates a power failure, and the tests commit thousands of times."""
    connection = await asyncpg.connect(stack.postgres.dsn())
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@asynccontextmanager
async def open_service_env(
    stack: EmbeddedStack,
    temporal: Client,
    *,
    works: bool = True,
    database_url: str | None = None,
    task_queue: str | None = None,
) -> AsyncIterator[ServiceEnv]:
    """Open a separate environment; with `works=False` the test itself runs the worker."""
    name = unique_name("service_env").replace("-", "_")
    queue = task_queue or name
    url = database_url or await take_database(stack, name)
    with DnsServer() as dns:
        async with (
            create_pool(as_login(url, WORKER), "worksub_worker", connections=8) as pool,
            create_pool(as_login(url, READER_LOGIN), "worksub_reader", connections=4) as reader,
            asyncpg.create_pool(as_login(url, SUPERUSER), min_size=0, max_size=4) as owner,
        ):
            client = SubscriptionClient(temporal, reader, task_queue=queue)
            service_env = ServiceEnv(
                temporal, url, queue, pool, reader, owner, client, dns, await worker_signer(pool)
            )
            if database_url is None:
                await remember_initial_state(stack, owner)
            if works:
                async with service_env.worker():
                    yield service_env
            else:
                yield service_env
            if database_url is None:
                await give_back_database(stack, url, owner, pool, reader)
