"""The environment in which scenarios are recorded, and the decorator that marks a scenario."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from support.service_env import ServiceEnv, kst, open_service_env
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client, WorkflowHistory

from adapters.temporal.data_converter import encrypting
from adapters.temporal.encryption_keys import Keyring
from dev_stack.stack import EmbeddedStack

from .history_recorder import Recorder

START = "2027-01-10 09:00"
"""The default start time of a subscription."""


class TimedSubscription(SubscriptionDriver):
    """A simulated subscription whose clock moves step by step, so that its timers fire as in production."""

    ahead: timedelta

    async def runs_to(self, moment: str) -> None:
        """Process all deadlines before that time, each at its own time."""
        await self.clock.advance_to(kst(moment) - self.ahead)
        await self.client.settle(self.id)

    async def ends_at(self, moment: str) -> None:
        """Cancel it immediately; wait until it is erased and its histories are deleted."""
        await self.send("cancel", at=moment, date=moment[:10])
        await self.has_closed()


@dataclass(frozen=True)
class Scene:
    """The environment of a scenario: `service_env` is shared by scenarios without special needs."""

    stack: EmbeddedStack
    service_env: ServiceEnv
    recorder: Recorder

    @asynccontextmanager
    async def own_service_env(self, **options: Any) -> AsyncIterator[ServiceEnv]:
        """Open a separate environment, for changes of catalogues or the database and for closing a month."""
        async with open_service_env(self.stack, self.service_env.temporal, **options) as service_env:
            yield service_env

    async def connected(self, address: str) -> Client:
        return await connected(address, self.recorder)

    async def begun(
        self, at: str = START, *, service_env: ServiceEnv | None = None, **changes: Any
    ) -> TimedSubscription:
        subscription = await (service_env or self.service_env).requested(at, **changes)
        dated = TimedSubscription(
            subscription.client, subscription.temporal, subscription.id, subscription.request
        )
        dated.ahead = kst(at) - await subscription.clock.now()
        return dated

    async def paid(
        self, term: str, *, service_env: ServiceEnv | None = None, **changes: Any
    ) -> TimedSubscription:
        """Return a subscription that switched to paid in the hour of its request."""
        subscription = await self.begun(service_env=service_env, **changes)
        await subscription.send("switch_to_paid", at=START, date=START[:10], term=term)
        return subscription

    async def runs_of(self, *subscriptions: SubscriptionDriver) -> list[WorkflowHistory]:
        """Return every run of these subscriptions; call it when they are idle."""
        return [
            run
            for subscription in subscriptions
            for run in await self.recorder.runs_of(subscription.temporal, subscription.workflow_id)
        ]


async def connected(address: str, recorder: Recorder) -> Client:
    return await Client.connect(
        address,
        data_converter=encrypting(Keyring()),  # unencrypted, like the recordings of each release
        interceptors=[recorder],
        identity="recorder",  # instead of the name of the machine
    )


@asynccontextmanager
async def open_scene(stack: EmbeddedStack) -> AsyncIterator[Scene]:
    recorder = Recorder()
    temporal = await connected(stack.addresses.temporal_address, recorder)
    async with open_service_env(stack, temporal) as service_env:
        yield Scene(stack, service_env, recorder)


ScenarioFunction = Callable[[Scene], Awaitable[list[WorkflowHistory]]]


@dataclass(frozen=True)
class ReplayScenario:
    """A scenario. If `compared`, the tests run it again and compare its commands.

    Such a scenario is short, and has the same commands in the same order in every run.
    """

    name: str
    function: ScenarioFunction
    compared: bool


def replay_scenario(*, compared: bool = True) -> Callable[[ScenarioFunction], ReplayScenario]:
    """Return a decorator that registers a function as a scenario, under the function's name."""
    return lambda function: ReplayScenario(function.__name__.replace("_", "-"), function, compared)
