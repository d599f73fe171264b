"""Subscriptions that were started by an earlier release are finished by this one.

A Temporal server cannot import histories. Therefore a subscription is restored as after the loss of the
namespace: this release's activities execute the earlier release's activity calls again, and a workflow is
restarted from the database. tests/replay verifies that the histories replay.
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
from replay.corpus import recorded_scenarios, releases
from replay.recorded_effects import Effect, effects_of
from replay.scenarios import CONCURRENT_SCENARIOS
from support.database_pool import create_database
from support.polling import gather_all, run_cases, wait_for
from support.service_env import ServiceEnv, open_service_env, publish, unique_name
from support.subscription_driver import SubscriptionDriver
from support.worker_env import register_namespace
from temporalio.client import Client

from activities.catalogue import CatalogueActivities
from activities.provisioning import ProvisioningActivities
from activities.transitions import TransitionActivities
from activities.workspace import WorkspaceActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres.migrate import migrate
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.recorded_subscription import snapshot
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.stack import EmbeddedStack
from subscription.activity_contracts import (
    NameTaken,
    PriceBookOutdated,
    PriceBookResult,
    Provisioned,
    ProvisionInput,
    Recorded,
    Transition,
)
from subscription.apply import apply_all
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.commands import Cancel
from subscription.decide import Decision, decide
from subscription.due_events import due_events
from subscription.events import Canceled, Event
from subscription.ledger import LineKind
from subscription.state import Subscription

FURTHER = timedelta(days=400)
"""Additional duration of each subscription; it always includes the start of a new run."""

# Activities that use more than the database.
EXTERNAL = ("check_domain_records", "erase_subscription", "delete_histories")
# A domain's token is random. A worker signer a result with a key of its installation, and here no worker
# executes the activities.
NOT_COMPARED = WORDS | {"token", "signature"}


@dataclass(frozen=True)
class StartedSubscription:
    """The recorded activity calls and results of one subscription before its cancellation."""

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
        return result.book.versions

    def newer_catalogues(self, position: int) -> tuple[Catalogue, ...]:
        """Return the versions that had been published when this effect found newer ones."""
        if not finds_newer_prices(self.effects[position]):
            return ()
        books = (book for effect in self.effects[position:] if (book := loaded_book(effect)))
        return next(books).versions

    @property
    def loads_newer_prices(self) -> bool:
        return any(map(finds_newer_prices, self.effects))

    @property
    def state_key(self) -> tuple[Any, ...]:
        """Return the properties that decide how it continues."""
        arguments = [effect.argument for effect in self.effects if isinstance(effect.result, Recorded)]
        states = [argument.state for argument in arguments if isinstance(argument, Transition)]
        state = states[-1] if states else None
        return self.loads_newer_prices, state and (
            state.state,
            state.contract and (state.contract.term, state.contract.begun_by_renewal),
            state.reservation and state.reservation.kind,
            state.renewal and state.renewal.term,
            state.access,
            state.pending_rename_domain is not None,
        )


def started_subscriptions(release: str) -> Iterator[StartedSubscription]:
    for subscription in recorded_scenarios(release):
        effects_by_workflow: dict[str, list[Effect]] = {}
        for run in subscription.runs:
            effects_by_workflow.setdefault(run.workflow_id, []).extend(effects_of(run))
        for effects in effects_by_workflow.values():
            if effects and is_the_beginning(effects[0]):
                yield StartedSubscription(subscription.name, tuple(until_it_was_cancelled(effects)))


def is_the_beginning(effect: Effect) -> bool:
    """Return whether this is an accepted request, and not that of a restarted workflow."""
    return isinstance(effect.result, Provisioned) and effect.result.state.sequence == 1


def until_it_was_cancelled(effects: Sequence[Effect]) -> Iterator[Effect]:
    for effect in effects:
        match effect.argument:
            case Transition(events=events) if any(isinstance(event, Canceled) for event in events):
                return
        yield effect


def finds_newer_prices(effect: Effect) -> bool:
    return isinstance(effect.result, PriceBookOutdated) or loaded_book(effect) is not None


def loaded_book(effect: Effect) -> PriceBook | None:
    return effect.result.book if isinstance(effect.result, PriceBookResult) else None


# -- restoring subscriptions -------------------------------------------------------------------------


@asynccontextmanager
async def empty_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an environment without a catalogue."""
    url = await create_database(stack, unique_name("upgrading").replace("-", "_"), "template0")
    await migrate(url)
    async with open_service_env(stack, temporal, database_url=url) as service_env:
        yield service_env


async def restore_subscription(service_env: ServiceEnv, subscription: StartedSubscription) -> None:
    """Execute the release's activity calls again; the results must equal the recorded ones."""
    for catalogue in subscription.catalogues:
        await publish(service_env.pool, catalogue)
    for position, effect in enumerate(subscription.effects):
        for catalogue in subscription.newer_catalogues(position):
            await publish(service_env.pool, catalogue)
        if effect.name in EXTERNAL or effect.argument is None or isinstance(effect.result, NameTaken | None):
            continue
        result = await executed(service_env, effect)
        difference = first_difference(as_returned_by_direct_call(effect), result, but_for=NOT_COMPARED)
        assert difference is None, f"event {effect.event_id}, {effect.name}: {difference}"


def as_returned_by_direct_call(effect: Effect) -> Any:
    """Return the recorded result as a call outside a workflow task has it."""
    return Recorded() if isinstance(effect.result, Recorded) else effect.result


async def executed(service_env: ServiceEnv, effect: Effect) -> Any:
    workspaces = PostgresWorkspaceProvisioner(service_env.pool)
    provisioning = ProvisioningActivities(service_env.pool, workspaces, NoticeEmails(), allow_simulation=True)
    recording = TransitionActivities(service_env.pool, workspaces, NoticeEmails())
    argument: Any = effect.argument
    match effect.name:
        case "provision_subscription":
            return await provisioning.provision_subscription(argument)
        case "issue_domain_token":
            return await provisioning.issue_domain_token(argument)
        case "record_transition" | "post_charges":
            if effect.local:  # the history does not have its price book, only that it was recorded
                revision = (await load_price_book(service_env.pool)).revision
                argument = argument.model_copy(update={"revision": revision})
            return await recording.record_transition(argument)
        case "get_stored_answer":
            return await recording.get_stored_answer(argument)
        case "get_price_book":
            return await CatalogueActivities(service_env.pool).get_price_book(argument)
        case "count_members_in_use":
            return await WorkspaceActivities(workspaces).count_members_in_use(argument)
    raise AssertionError(f"{effect.name} is an activity that this test does not support yet")


async def restart_workflow(
    service_env: ServiceEnv, subscription: StartedSubscription, now: datetime
) -> SubscriptionDriver:
    """Restart the workflow from the database, with a clock that shows `now`."""
    wanted = subscription.provision
    found = SubscriptionDriver(
        service_env.client, service_env.temporal, wanted.subscription_id, dict(wanted.request)
    )
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        {"simulated_at": now.isoformat()},
        id=found.workflow_id,
        task_queue=service_env.task_queue,
    )
    await wait_for(f"{subscription.name} has restarted", found.has_started)
    return found


# -- finishing subscriptions -------------------------------------------------------------------------


def to_the_end(state: Subscription, moment: datetime, book: PriceBook) -> list[Event]:
    """Return the events by the rules: all deadlines until then, and a cancellation then, if possible."""
    events = due_events(state, moment, book)
    after = apply_all(state, events)
    if after.state.accepts_commands:
        decision = decide(after, cancellation(after, moment), moment, book)
        assert isinstance(decision, Decision), decision
        events += decision.events
        events += due_events(apply_all(after, decision.events), moment, book)
    return events


def cancellation(state: Subscription, moment: datetime) -> Cancel:
    assert state.admin_account is not None
    return Cancel(date=day_of(moment), confirmation=state.admin_account, at=moment)


async def finish(service_env: ServiceEnv, begun: StartedSubscription) -> None:
    await restore_subscription(service_env, begun)
    state = await snapshot(service_env.pool, begun.provision.subscription_id)
    assert state is not None
    assert state.last_at is not None
    timeline = await service_env.client.timeline(state.subscription_id)
    ledger = await service_env.client.ledger(state.subscription_id)
    moment = state.last_at + FURTHER
    expected = to_the_end(state, moment, await load_price_book(service_env.pool))

    subscription = await restart_workflow(service_env, begun, state.last_at)
    await subscription.client.settle(subscription.id, moment)
    if (await subscription.status()).state.accepts_commands:
        wanted = {"date": f"{day_of(moment)}", "confirmation": await subscription.confirmation()}
        await subscription.client.command(subscription.id, "cancel", {**wanted, "at": moment.isoformat()})
    await subscription.has_closed()

    recorded = await subscription.client.timeline(subscription.id)
    # The erasure has deleted the names of the issuers (R31).
    assert recorded[: len(timeline)] == [entry.model_copy(update={"by": None}) for entry in timeline]
    assert [(entry.event, entry.at) for entry in recorded[len(timeline) :]] == [
        (event.event, event.at) for event in expected
    ]
    charged = await subscription.ledger()
    assert charged[: len(ledger)] == ledger
    assert charged[len(ledger) :] == [line for event in expected for line in event.lines]
    assert len({line.key for line in charged}) == len(charged)
    fees = [line for line in charged if line.kind is LineKind.SERVICE_FEE]
    assert all(earlier.end_day == later.first_day for earlier, later in pairwise(fees))
    assert await subscription.failed_tasks() == []


@pytest.fixture
async def restored_namespace(stack: EmbeddedStack) -> Client:
    """Return a client of a namespace without these subscriptions, which keep their IDs."""
    namespace = unique_name("lost")
    await register_namespace(stack, namespace)
    temporal = await Client.connect(
        stack.addresses.temporal_address, namespace=namespace, data_converter=data_converter()
    )
    await register_search_attributes(temporal)
    return temporal


@pytest.mark.parametrize("release", releases())
async def test_subscriptions_of_earlier_release_are_finished(
    stack: EmbeddedStack, restored_namespace: Client, release: str
) -> None:
    # The shortest subscription for each different state.
    longest_first = sorted(started_subscriptions(release), key=lambda each: len(each.effects), reverse=True)
    subscriptions = {subscription.state_key: subscription for subscription in longest_first}.values()
    # With more of them at once, a busy machine is slower than the timeout of the test.
    slots = asyncio.Semaphore(CONCURRENT_SCENARIOS)

    async def finished_in_turn(service_env: ServiceEnv, subscription: StartedSubscription) -> None:
        async with slots:
            await finish(service_env, subscription)

    async def finished_together(neighbours: Sequence[StartedSubscription]) -> None:
        async with empty_env(stack, restored_namespace) as service_env:
            await run_cases(
                {
                    f"{subscription.name}, {subscription.provision.subscription_id}": finished_in_turn(
                        service_env, subscription
                    )
                    for subscription in neighbours
                }
            )

    async def finished_alone(subscription: StartedSubscription) -> None:
        async with slots, empty_env(stack, restored_namespace) as service_env:
            await run_cases({subscription.name: finish(service_env, subscription)})

    # Prices that one subscription loads late must not be visible to the others earlier than in the recording.
    alone = [subscription for subscription in subscriptions if subscription.loads_newer_prices]
    others = [subscription for subscription in subscriptions if not subscription.loads_newer_prices]
    await gather_all([finished_together(others), *(finished_alone(subscription) for subscription in alone)])
