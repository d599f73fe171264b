"""Run scenarios on real servers with the real workflow and activities."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import asyncpg
from temporalio.client import Client

from adapters.postgres.pool import Connection, create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.temporal.data_converter import data_converter
from dev_stack.postgres_server import OWNER, READER_LOGIN, WORKER
from starter.client import SubscriptionClient
from starter.requests import subscription_id_for
from starter.setup import set_up
from starter.subscription_clock import SubscriptionClock
from subscription.catalogue import PriceBook
from subscription.commands import expand_null
from subscription.deadlines import next_deadline
from subscription.decide import Decision
from subscription.domain_verification import PendingDomain, verification_records
from subscription.refusals import RefusalCode, RefusalError
from subscription.scenario import (
    CONFIRM_DOMAIN,
    DOMAIN_STEPS,
    LOSE_DOMAIN,
    MEMBERS_IN_USE,
    CommandOutcome,
    FinalState,
    Scenario,
    ScenarioResult,
    ScenarioStep,
    confirmation_in,
    members_reported,
    outcome,
    refused_request,
    reported_members,
    sample_request,
    simulate,
    with_default_arguments,
)
from worker import create_worker

if TYPE_CHECKING:
    from dev_stack.stack import EmbeddedStack

MAX_CONCURRENT_SCENARIOS = 20
"""Concurrent scenarios. Two cores can run this many; more would only wait for CPU time."""

# The clock of a scenario starts one hour early. A deadline is therefore not processed too early unless the
# clock overruns by more than that.
_MAX_OVERRUN = timedelta(minutes=30)


class ClockOverrunError(Exception):
    """The clock passed a command's time before the command was decided, so the result would be wrong."""


def request_id_for(number: int, scenario: Scenario) -> str:
    """Return the request ID of a scenario: the same on both engines, so that ledger keys are equal."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}/{scenario.name}"))


def simulate_by_rules(scenarios: Sequence[Scenario], book: PriceBook) -> list[ScenarioResult]:
    """Run the scenarios with the business rules only, without servers."""
    return [
        simulate(scenario, book, subscription_id_for(request_id_for(number, scenario)))
        for number, scenario in enumerate(scenarios)
    ]


async def simulate_on_temporal(
    scenarios: Sequence[Scenario],
    book: PriceBook,
    *,
    on_progress: Callable[[str], None] = lambda sentence: None,
    on_done: Callable[[ScenarioResult], None] = lambda result: None,
) -> list[ScenarioResult]:
    """Run the scenarios on real servers, each scenario with its own database and worker.

    Raises `StackError` if the servers do not start, `ClockOverrunError` if the machine is overloaded.
    """
    from dev_stack.stack import EmbeddedStack  # imported here, because it is an optional dependency

    with TemporaryDirectory(prefix="worksub-simulation-") as directory:
        async with EmbeddedStack(Path(directory), search_attributes={}, on_progress=on_progress) as stack:
            await _disable_fsync(stack)
            return await simulate_on_stack(stack, scenarios, book, on_done=on_done)


async def simulate_on_stack(
    stack: "EmbeddedStack",
    scenarios: Sequence[Scenario],
    book: PriceBook,
    *,
    on_done: Callable[[ScenarioResult], None] = lambda result: None,
) -> list[ScenarioResult]:
    """Run the scenarios on running servers, which must not have run scenarios of these names before.

    Raises `ClockOverrunError` if the machine is overloaded.
    """
    client = await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())
    template = f"simulation_{uuid.uuid4().hex}"
    url = await stack.postgres.ensure_database(template)
    for catalogue in book.versions:
        await set_up(client, url, catalogue, today=catalogue.announcement_day)
    slots = asyncio.Semaphore(MAX_CONCURRENT_SCENARIOS)

    async def run(number: int, scenario: Scenario) -> ScenarioResult:
        async with slots:
            result = await _ScenarioRun(stack, client, template, number, scenario, book).run()
        on_done(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(n, scenario)) for n, scenario in enumerate(scenarios)]
    return [task.result() for task in tasks]


async def set_members_in_use(
    connection: asyncpg.Connection | Connection, subscription_id: str, count: int
) -> None:
    """Give the stand-in product this number of members, including the administrator (R36).

    The row is locked first, as an erasure does; otherwise members could be added to an erased subscription.
    """
    async with connection.transaction():
        await connection.execute(
            "SELECT FROM subscriptions WHERE subscription_id = $1 FOR NO KEY UPDATE", subscription_id
        )
        await connection.execute("DELETE FROM members WHERE subscription_id = $1", subscription_id)
        await connection.execute(
            """
            INSERT INTO members (subscription_id, member_id)
            SELECT subscription_id, 'member-' || number
              FROM subscriptions, generate_series(1, $2 - 1) AS number
             WHERE subscription_id = $1 AND state <> 'ERASED'
            """,
            subscription_id,
            count,
        )


async def _disable_fsync(stack: "EmbeddedStack") -> None:
    """Turn off fsync: the data are temporary, and one database per scenario has many files to flush."""
    connection = await asyncpg.connect(stack.postgres.dsn())
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


class _ScenarioRun:
    def __init__(
        self,
        stack: "EmbeddedStack",
        client: Client,
        template: str,
        number: int,
        scenario: Scenario,
        book: PriceBook,
    ) -> None:
        self._stack, self._temporal, self._scenario, self._book = stack, client, scenario, book
        self._template, self._name = template, f"{template}_{number}"
        self._request_id = request_id_for(number, scenario)
        self._id = subscription_id_for(self._request_id)
        self._confirmation = ""

    async def run(self) -> ScenarioResult:
        async with self._environment() as client:
            request = {
                **sample_request(self._scenario, self._book, self._request_id),
                "request_id": self._request_id,
                "simulated_at": self._scenario.starts_at.isoformat(),
            }
            try:
                await client.request(request)
            except RefusalError as refusal:
                return refused_request(self._scenario, refusal.refused)
            clock = client.clock(self._id)
            ahead = self._scenario.starts_at - await clock.now()
            outcomes = []
            for step in self._scenario.steps:
                await self._advance_to(step.at, clock, ahead)
                outcomes.append(await self._execute(step, client))
            await self._advance_to(self._scenario.until, clock, ahead)
            await client.settle(self._id, self._scenario.until)
            return await self._result(outcomes, client)

    @asynccontextmanager
    async def _environment(self) -> AsyncIterator[SubscriptionClient]:
        """Create a separate database and worker, so that scenarios may use the same account names."""
        await self._create_database()
        postgres = self._stack.postgres
        async with (
            create_pool(postgres.dsn(self._name, WORKER), "worksub_worker", connections=2) as pool,
            create_pool(postgres.dsn(self._name, READER_LOGIN), "worksub_reader", connections=1) as reading,
            create_worker(
                self._temporal,
                pool,
                await worker_signer(pool),
                dns_resolvers=[self._stack.addresses.dns_address],
                task_queue=self._name,
                allow_simulation=True,
            ),
        ):
            yield SubscriptionClient(self._temporal, reading, task_queue=self._name)

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self._stack.postgres.dsn())
        try:
            await connection.execute(f"CREATE DATABASE {self._name} TEMPLATE {self._template} OWNER {OWNER}")
        finally:
            await connection.close()

    async def _advance_to(self, moment: datetime, clock: SubscriptionClock, ahead: timedelta) -> None:
        await clock.advance_to(moment - ahead)
        if await clock.now() - (moment - ahead) > _MAX_OVERRUN:
            raise ClockOverrunError(f"{self._scenario.name}: the clock passed its target {moment}.")

    async def _execute(self, step: ScenarioStep, client: SubscriptionClient) -> CommandOutcome:
        # Process due deadlines first, so that names and states are those at the time of the step.
        await client.settle(self._id, step.at)
        if step.command == MEMBERS_IN_USE:
            await self._set_members_in_use(reported_members(step))
            return members_reported(step)
        state = await client.snapshot(self._id)
        self._confirmation = confirmation_in(state, self._confirmation)
        argument = with_default_arguments(step, self._book, self._confirmation)
        command = "check_domain" if step.command in DOMAIN_STEPS else step.command
        argument = expand_null(command, argument)
        if isinstance(argument, dict):
            argument = {**argument, "at": step.at.isoformat()}
        if step.command == LOSE_DOMAIN:
            await self._lose_claims()
        pending_domains = state.pending_domains if step.command == CONFIRM_DOMAIN else ()
        try:
            with self._records_published(pending_domains):
                answer = await client.command(self._id, command, argument)
        except RefusalError as refusal:
            if refusal.refused.code is RefusalCode.CLOCK_PASSED:
                raise ClockOverrunError(f"{self._scenario.name}: {refusal.refused.message}") from None
            return outcome(step, refusal.refused)
        return outcome(step, Decision(events=(), message=answer.message))

    async def _set_members_in_use(self, count: int) -> None:
        connection = await asyncpg.connect(self._stack.postgres.dsn(self._name))
        try:
            await set_members_in_use(connection, self._id, count)
        finally:
            await connection.close()

    async def _lose_claims(self) -> None:
        """Mark the claims as lost, as another subscription does that verifies the domains."""
        connection = await asyncpg.connect(self._stack.postgres.dsn(self._name))
        try:
            await connection.execute("UPDATE account_names SET status = 'LOST' WHERE status = 'CLAIMED'")
        finally:
            await connection.close()

    @contextmanager
    def _records_published(self, pending_domains: Sequence[PendingDomain]) -> Iterator[None]:
        """Publish the verification records for this step only, as in a simulation with the rules only.

        A domain that is claimed later must not be verified by these records.
        """
        with ExitStack() as published:
            for domain in pending_domains:
                records = verification_records(
                    domain.name, domain.token, self._book.domain_policy.cname_target
                )
                published.enter_context(self._stack.dns.published_txt(records.txt_name, records.txt_value))
            yield

    async def _result(self, outcomes: Sequence[CommandOutcome], client: SubscriptionClient) -> ScenarioResult:
        state = await client.snapshot(self._id)
        return ScenarioResult(
            name=self._scenario.name,
            outcomes=tuple(outcomes),
            timeline=tuple(await client.timeline(self._id)),
            ledger=tuple(await client.ledger(self._id)),
            final=FinalState(state=state.state, access=state.access, next=next_deadline(state)),
        )
