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

from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_seals
from adapters.temporal.data_converter import data_converter
from dev_stack.postgres_server import OWNER, PEOPLE, WORKER
from starter.client import SubscriptionClient
from starter.read_model import ReadModel
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
    CommandOutcome,
    FinalState,
    Scenario,
    ScenarioResult,
    ScenarioStep,
    confirmation_in,
    outcome,
    refused_request,
    sample_request,
    simulate,
    with_default_arguments,
)
from worker import create_worker

if TYPE_CHECKING:
    from dev_stack.stack import EmbeddedStack

LIVES_AT_ONCE = 20
"""As many as two cores carry; more would only wait for each other."""

_TEMPLATE = "worksub_template"

# A simulated life's clock begins an hour early, so no deadline is met too soon unless it is late by more.
_SLIP = timedelta(minutes=30)


class ClockOverrunError(Exception):
    """A life's clock passed a command's time before the command was judged: the result would be wrong."""


def request_id_for(number: int, scenario: Scenario) -> str:
    """One for each scenario of a run, the same on both engines, so that ledger keys are equal too."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}/{scenario.name}"))


def simulate_by_rules(scenarios: Sequence[Scenario], book: PriceBook) -> list[ScenarioResult]:
    """What the rules alone make of the scenarios."""
    return [
        simulate(scenario, book, subscription_id_for(request_id_for(number, scenario)))
        for number, scenario in enumerate(scenarios)
    ]


async def simulate_on_temporal(
    scenarios: Sequence[Scenario],
    book: PriceBook,
    *,
    on_progress: Callable[[str], None] = lambda sentence: None,
    on_done: Callable[[ScenarioResult], None] = lambda document: None,
) -> list[ScenarioResult]:
    """What the running service makes of the scenarios, each in a database and with a worker of its own.

    Raises `StackError` if the servers do not start, `ClockOverrunError` if a machine is far too busy.
    """
    from dev_stack.stack import EmbeddedStack  # which is not installed everywhere

    with TemporaryDirectory(prefix="worksub-simulation-") as directory:
        async with EmbeddedStack(Path(directory), search_attributes={}, on_progress=on_progress) as stack:
            client = await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())
            await _spare_the_disk(stack)
            template = await stack.postgres.ensure_database(_TEMPLATE)
            for catalogue in book.versions:
                await set_up(client, template, catalogue, today=catalogue.effective_from)
            places = asyncio.Semaphore(LIVES_AT_ONCE)

            async def live(number: int, scenario: Scenario) -> ScenarioResult:
                async with places:
                    document = await _ScenarioRun(stack, client, number, scenario, book).live()
                on_done(document)
                return document

            async with asyncio.TaskGroup() as lives:
                tasks = [lives.create_task(live(n, scenario)) for n, scenario in enumerate(scenarios)]
            return [task.result() for task in tasks]


async def _spare_the_disk(stack: "EmbeddedStack") -> None:
    """Nothing here is to survive a crash, and a database for each scenario is many files to flush."""
    connection = await asyncpg.connect(stack.postgres.dsn())
    try:
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


class _ScenarioRun:
    def __init__(
        self, stack: "EmbeddedStack", client: Client, number: int, scenario: Scenario, book: PriceBook
    ) -> None:
        self._stack, self._temporal, self._scenario, self._book = stack, client, scenario, book
        self._name = f"simulation_{number}"
        self._request_id = request_id_for(number, scenario)
        self._id = subscription_id_for(self._request_id)
        self._confirmation = ""

    async def live(self) -> ScenarioResult:
        async with self._house() as (client, read):
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
                await self._pass_to(step.at, clock, ahead)
                outcomes.append(await self._take(step, client, read))
            await self._pass_to(self._scenario.until, clock, ahead)
            await client.settle(self._id, self._scenario.until)
            return await self._document(outcomes, client, read)

    @asynccontextmanager
    async def _house(self) -> AsyncIterator[tuple[SubscriptionClient, ReadModel]]:
        """A database and a worker of its own, so that scenarios may use the same names."""
        await self._create_database()
        postgres = self._stack.postgres
        async with (
            create_pool(postgres.dsn(self._name, WORKER), "worksub_worker", connections=2) as pool,
            create_pool(postgres.dsn(self._name, PEOPLE), "worksub_reader", connections=1) as reading,
            create_worker(
                self._temporal,
                pool,
                await worker_seals(pool),
                dns_resolvers=[self._stack.addresses.dns_address],
                task_queue=self._name,
                allow_simulation=True,
            ),
        ):
            yield SubscriptionClient(self._temporal, reading, task_queue=self._name), ReadModel(reading)

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self._stack.postgres.dsn())
        try:
            await connection.execute(f"CREATE DATABASE {self._name} TEMPLATE {_TEMPLATE} OWNER {OWNER}")
        finally:
            await connection.close()

    async def _pass_to(self, moment: datetime, clock: SubscriptionClock, ahead: timedelta) -> None:
        await clock.advance_to(moment - ahead)
        if await clock.now() - (moment - ahead) > _SLIP:
            raise ClockOverrunError(f"{self._scenario.name}: its clock was to stop at {moment}.")

    async def _take(self, step: ScenarioStep, client: SubscriptionClient, read: ReadModel) -> CommandOutcome:
        # What is due comes first, so that names and states are those of the step's own time.
        await client.settle(self._id, step.at)
        state = await read.snapshot(self._id)
        assert state is not None
        self._confirmation = confirmation_in(state, self._confirmation)
        argument = with_default_arguments(step, self._book, self._confirmation)
        command = "check_domain" if step.command == CONFIRM_DOMAIN else step.command
        argument = expand_null(command, argument)
        if isinstance(argument, dict):
            argument = {**argument, "at": step.at.isoformat()}
        claims = state.claims if step.command == CONFIRM_DOMAIN else ()
        try:
            with self._proofs_published(claims):
                answer = await client.command(self._id, command, argument)
        except RefusalError as refusal:
            if refusal.refused.code is RefusalCode.CLOCK_PASSED:
                raise ClockOverrunError(f"{self._scenario.name}: {refusal.refused.message}") from None
            return outcome(step, refusal.refused)
        return outcome(step, Decision(events=(), message=answer.message))

    @contextmanager
    def _proofs_published(self, claims: Sequence[PendingDomain]) -> Iterator[None]:
        """Only for this step, as in a simulation by the rules alone: a later claim is not proved by it."""
        with ExitStack() as published:
            for claim in claims:
                proof = verification_records(claim.name, claim.token, self._book.domain_policy.cname_target)
                published.enter_context(self._stack.dns.published_txt(proof.txt_name, proof.txt_value))
            yield

    async def _document(
        self, outcomes: Sequence[CommandOutcome], client: SubscriptionClient, read: ReadModel
    ) -> ScenarioResult:
        state = await read.snapshot(self._id)
        assert state is not None
        return ScenarioResult(
            name=self._scenario.name,
            outcomes=tuple(outcomes),
            timeline=tuple(await client.timeline(self._id)),
            ledger=tuple(await client.ledger(self._id)),
            final=FinalState(state=state.state, access=state.access, next=next_deadline(state)),
        )
