"""Lives that an earlier release began are finished by this one.

A Temporal server takes in no histories, so a life is brought back as an operator who has lost the namespace
brings it back: what the earlier release asked of the world is done again, by this release's activities, and a
workflow is started anew on that record. That the histories replay is held by tests/replay.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from replay.command_comparison import WORDS, first_difference
from replay.corpus import recorded_lives, releases
from replay.recorded_effects import Effect, effects_of
from replay.scenarios import LIVES_AT_ONCE
from support.polling import gather_all, run_cases, wait_for
from support.service_env import ServiceEnv, create_database, open_service_env, publish, unique_name
from support.subscription_driver import SubscriptionDriver
from support.worker_env import register_namespace
from temporalio.client import Client

from activities.catalogue import CatalogueActivities
from activities.provisioning import ProvisioningActivities
from activities.transitions import TransitionActivities
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.migrate import migrate
from adapters.postgres.subscription_repository import snapshot
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.stack import EmbeddedStack
from subscription.activity_contracts import (
    NameTaken,
    NewerCataloguesResult,
    PriceBookOutdated,
    Provisioned,
    ProvisionInput,
    Recorded,
    Transition,
)
from subscription.apply import apply_all
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.commands import Cancel, confirmation_for
from subscription.deadlines import due_events
from subscription.decide import Decision, decide
from subscription.events import Canceled, Event
from subscription.ledger import LineKind
from subscription.state import Subscription

FURTHER = timedelta(days=400)
"""So much longer a life goes on: the end of a contract year is in it, whenever that is."""

# What asks more than the record.
WORLDLY = ("look_for_proof", "erase_subscription", "delete_histories")
# A domain's secret is drawn anew. A worker seals a result with a key of its installation, and no worker
# executes these.
NOT_COMPARED = WORDS | {"token", "seal"}


@dataclass(frozen=True)
class BegunLife:
    """What a release asked for one subscription, and heard, before it was cancelled."""

    name: str
    effects: tuple[Effect, ...]

    @property
    def provision(self) -> ProvisionInput:
        argument = self.effects[0].argument
        assert isinstance(argument, ProvisionInput)
        return argument

    @property
    def catalogues(self) -> tuple[Catalogue, ...]:
        result = self.effects[0].result
        assert isinstance(result, Provisioned)
        return result.catalogues

    @property
    def hears_of_newer_prices(self) -> bool:
        return any(newer_prices(effect) for effect in self.effects)

    @property
    def stands(self) -> tuple[Any, ...]:
        """What decides how it goes on, in kind."""
        arguments = [effect.argument for effect in self.effects if isinstance(effect.result, Recorded)]
        states = [argument.state for argument in arguments if isinstance(argument, Transition)]
        state = states[-1] if states else None
        return self.hears_of_newer_prices, state and (
            state.state,
            state.contract and (state.contract.term, state.contract.begun_by_renewal),
            state.reservation and state.reservation.kind,
            state.renewal and state.renewal.term,
            state.access,
            state.rename_claim is not None,
        )


def begun_lives(release: str) -> Iterator[BegunLife]:
    for life in recorded_lives(release):
        asked: dict[str, list[Effect]] = {}
        for run in life.runs:
            asked.setdefault(run.workflow_id, []).extend(effects_of(run))
        for effects in asked.values():
            if effects and is_the_beginning(effects[0]):
                yield BegunLife(life.name, tuple(until_it_was_cancelled(effects)))


def is_the_beginning(effect: Effect) -> bool:
    """Whether this is an accepted request, and not that of a workflow which was itself started anew."""
    return isinstance(effect.result, Provisioned) and effect.result.state.sequence == 1


def until_it_was_cancelled(effects: Sequence[Effect]) -> Iterator[Effect]:
    for effect in effects:
        match effect.argument:
            case Transition(events=events) if any(isinstance(event, Canceled) for event in events):
                return
        yield effect


def newer_prices(effect: Effect) -> tuple[Catalogue, ...]:
    """What the effect told of versions that had been published since."""
    match effect.result:
        case PriceBookOutdated(newer=newer) | NewerCataloguesResult(newer=newer):
            return newer
    return ()


# -- bringing them back ------------------------------------------------------------------------------


@asynccontextmanager
async def empty_house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """A house in which nothing is on sale yet."""
    url = await create_database(stack, unique_name("upgrading").replace("-", "_"), "template0")
    await migrate(url)
    async with open_service_env(stack, temporal, database_url=url) as house:
        yield house


async def bring_back(house: ServiceEnv, life: BegunLife) -> None:
    """Do again what the release asked of the world; the answers must be those that it heard."""
    for catalogue in life.catalogues:
        await publish(house.pool, catalogue)
    for effect in life.effects:
        for catalogue in newer_prices(effect):
            await publish(house.pool, catalogue)
        if effect.name in WORLDLY or effect.argument is None or isinstance(effect.result, NameTaken | None):
            continue
        heard = await carried_out(house, effect)
        difference = first_difference(as_heard_by_hand(effect), heard, but_for=NOT_COMPARED)
        assert difference is None, f"event {effect.event_id}, {effect.name}: {difference}"


def as_heard_by_hand(effect: Effect) -> Any:
    """Only within a workflow's task the record says what was recorded."""
    return Recorded() if isinstance(effect.result, Recorded) else effect.result


async def carried_out(house: ServiceEnv, effect: Effect) -> Any:
    workspaces = PostgresWorkspaceProvisioner(house.pool)
    provisioning = ProvisioningActivities(house.pool, workspaces, allow_simulation=True)
    recording = TransitionActivities(house.pool, workspaces)
    argument: Any = effect.argument
    match effect.name:
        case "provision_subscription":
            return await provisioning.provision_subscription(argument)
        case "issue_domain_token":
            return await provisioning.issue_domain_token(argument)
        case "record_transition":
            if effect.local:  # nothing tells by which prices it was judged, but that it was recorded
                edition = (await load_price_book(house.pool)).edition
                argument = argument.model_copy(update={"edition": edition})
            return await recording.record_transition(argument)
        case "recall_answer":
            return await recording.recall_answer(argument)
        case "newer_catalogues":
            return await CatalogueActivities(house.pool).newer_catalogues(argument)
    raise AssertionError(f"{effect.name} is an activity that this test has to learn")


async def start_anew(house: ServiceEnv, life: BegunLife, now: datetime) -> SubscriptionDriver:
    """A workflow that goes on from the record, on a clock that shows `now`."""
    wanted = life.provision
    found = SubscriptionDriver(house.client, house.temporal, wanted.subscription_id, dict(wanted.request))
    await house.temporal.start_workflow(
        "SubscriptionWorkflow",
        {"simulated_at": now.isoformat()},
        id=found.workflow_id,
        task_queue=house.task_queue,
    )
    await wait_for(f"{life.name} lives again", found.has_started)
    return found


# -- finishing them ----------------------------------------------------------------------------------


def to_the_end(state: Subscription, moment: datetime, book: PriceBook) -> list[Event]:
    """What the rules say: all that falls due until then, and what cancelling then brings, if it can be."""
    events = due_events(state, moment, book)
    after = apply_all(state, events)
    if after.state.accepts_commands:
        decision = decide(after, cancellation(after, moment), moment, book)
        assert isinstance(decision, Decision), decision
        events += decision.events
        events += due_events(apply_all(after, decision.events), moment, book)
    return events


def cancellation(state: Subscription, moment: datetime) -> Cancel:
    assert state.admin_id is not None
    assert state.account is not None
    confirmation = confirmation_for(state.admin_id, state.account)
    return Cancel(date=day_of(moment), confirmation=confirmation, at=moment)


async def finish(house: ServiceEnv, begun: BegunLife) -> None:
    await bring_back(house, begun)
    state = await snapshot(house.pool, begun.provision.subscription_id)
    assert state is not None
    assert state.last_at is not None
    timeline = await house.client.timeline(state.subscription_id)
    ledger = await house.client.ledger(state.subscription_id)
    moment = state.last_at + FURTHER
    expected = to_the_end(state, moment, await load_price_book(house.pool))

    life = await start_anew(house, begun, state.last_at)
    await life.client.settle(life.id, moment)
    if (await life.status()).state.accepts_commands:
        wanted = {"date": f"{day_of(moment)}", "confirmation": await life.confirmation()}
        await life.client.command(life.id, "cancel", {**wanted, "at": moment.isoformat()})
    await life.has_closed()

    told = await life.client.timeline(life.id)
    assert told[: len(timeline)] == timeline
    assert [(entry.event, entry.at) for entry in told[len(timeline) :]] == [
        (event.event, event.at) for event in expected
    ]
    charged = await life.ledger()
    assert charged[: len(ledger)] == ledger
    assert charged[len(ledger) :] == [line for event in expected for line in event.lines]
    assert len({line.key for line in charged}) == len(charged)
    fees = [line for line in charged if line.kind is LineKind.SERVICE_FEE]
    assert all(earlier.end_day == later.first_day for earlier, later in pairwise(fees))
    assert await life.failed_tasks() == []


@pytest.fixture
async def lost(stack: EmbeddedStack) -> Client:
    """A namespace that knows nothing of the lives that are brought back, whose ids are as they were."""
    namespace = unique_name("lost")
    await register_namespace(stack, namespace)
    temporal = await Client.connect(
        stack.addresses.temporal_address, namespace=namespace, data_converter=data_converter()
    )
    await register_search_attributes(temporal)
    return temporal


@pytest.mark.parametrize("release", releases())
async def test_lives_that_a_release_began_are_finished_by_this_one(
    stack: EmbeddedStack, lost: Client, release: str
) -> None:
    # One of each that stands otherwise than the rest.
    lives = {life.stands: life for life in begun_lives(release)}.values()
    # More of them at once take longer on a busy machine than a test waits for one.
    places = asyncio.Semaphore(LIVES_AT_ONCE)

    async def finished_in_turn(house: ServiceEnv, life: BegunLife) -> None:
        async with places:
            await finish(house, life)

    async def finished_together(neighbours: Sequence[BegunLife]) -> None:
        async with empty_house(stack, lost) as house:
            await run_cases({life.name: finished_in_turn(house, life) for life in neighbours})

    async def finished_alone(life: BegunLife) -> None:
        async with places, empty_house(stack, lost) as house:
            await run_cases({life.name: finish(house, life)})

    # Prices that one of them hears of late must not reach the others earlier than they did then.
    alone = [life for life in lives if life.hears_of_newer_prices]
    others = [life for life in lives if not life.hears_of_newer_prices]
    await gather_all([finished_together(others), *(finished_alone(life) for life in alone)])
