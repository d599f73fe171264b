"""Where lives are lived to be recorded, and how a kind of life is told from other functions."""

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
"""When a life begins unless it says otherwise."""


class DatedLife(SubscriptionDriver):
    """A simulated life whose clock is moved as time moves customers' clocks: its timers fire on the way."""

    ahead: timedelta

    async def runs_to(self, moment: str) -> None:
        """All that is due before that moment happens, each when it is due."""
        await self.clock.advance_to(kst(moment) - self.ahead)
        await self.client.settle(self.id)

    async def ends_at(self, moment: str) -> None:
        """It is cancelled at once, erased, and its histories are deleted."""
        await self.send("cancel", at=moment, date=moment[:10])
        await self.has_closed()


@dataclass(frozen=True)
class Scene:
    """What a life takes place in: `house` is for all who are content with the usual."""

    stack: EmbeddedStack
    service_env: ServiceEnv
    recorder: Recorder

    @asynccontextmanager
    async def own_service_env(self, **options: Any) -> AsyncIterator[ServiceEnv]:
        """A house in which catalogues or the database may be changed, or a month closed for everybody."""
        async with open_service_env(self.stack, self.service_env.temporal, **options) as service_env:
            yield service_env

    async def connected(self, address: str) -> Client:
        return await connected(address, self.recorder)

    async def begun(
        self, at: str = START, *, service_env: ServiceEnv | None = None, **changes: Any
    ) -> DatedLife:
        subscription = await (service_env or self.service_env).requested(at, **changes)
        dated = DatedLife(subscription.client, subscription.temporal, subscription.id, subscription.request)
        dated.ahead = kst(at) - await subscription.clock.now()
        return dated

    async def paid(self, term: str, *, service_env: ServiceEnv | None = None, **changes: Any) -> DatedLife:
        """A life that switched to paid in the hour in which it was requested."""
        subscription = await self.begun(service_env=service_env, **changes)
        await subscription.send("switch_to_paid", at=START, date=START[:10], term=term)
        return subscription

    async def runs_of(self, *subscriptions: SubscriptionDriver) -> list[WorkflowHistory]:
        """Every run of these lives, to be called when nothing of them is under way."""
        return [
            run
            for subscription in subscriptions
            for run in await self.recorder.runs_of(subscription.temporal, subscription.workflow_id)
        ]


async def connected(address: str, recorder: Recorder) -> Client:
    return await Client.connect(
        address,
        data_converter=encrypting(Keyring()),  # in the clear, as what each release has recorded
        interceptors=[recorder],
        identity="recorder",  # and not the name of the machine
    )


@asynccontextmanager
async def open_scene(stack: EmbeddedStack) -> AsyncIterator[Scene]:
    recorder = Recorder()
    temporal = await connected(stack.addresses.temporal_address, recorder)
    async with open_service_env(stack, temporal) as service_env:
        yield Scene(stack, service_env, recorder)


Living = Callable[[Scene], Awaitable[list[WorkflowHistory]]]


@dataclass(frozen=True)
class KindOfLife:
    """`compared`: whether the tests live it again, to compare. Such a life is short, and asks for the same
    things in the same order whenever it is lived.
    """

    name: str
    live: Living
    compared: bool


def kind_of_life(*, compared: bool = True) -> Callable[[Living], KindOfLife]:
    """Makes a kind of life of a function, under the function's name."""
    return lambda live: KindOfLife(live.__name__.replace("_", "-"), live, compared)
