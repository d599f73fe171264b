"""The phases of a patch, as described in docs/upgrading.md: which code replays which histories."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from replay.command_comparison import differences
from replay.corpus import RecordedScenario
from replay.recording_env import open_scene
from replay.scenarios import SCENARIOS
from support.scenario_builder import KNOWN_BOOK
from temporalio import workflow

from dev_stack.stack import EmbeddedStack
from subscription.model import Frozen
from workflows import activity_stubs
from workflows.activity_calls import execute_until_success

Stub = Callable[[Frozen], Awaitable[Any]]

PATCH = "ask-for-prices-first"


async def before(stub: Stub, argument: Frozen, *shown_and_urgent: Any) -> Any:
    return await execute_until_success(stub, argument, *shown_and_urgent)


async def patched(stub: Stub, argument: Frozen, *shown_and_urgent: Any) -> Any:
    if workflow.patched(PATCH):
        return await without_the_patch(stub, argument, *shown_and_urgent)
    return await before(stub, argument, *shown_and_urgent)


async def deprecated(stub: Stub, argument: Frozen, *shown_and_urgent: Any) -> Any:
    workflow.deprecate_patch(PATCH)
    return await without_the_patch(stub, argument, *shown_and_urgent)


async def without_the_patch(stub: Stub, argument: Frozen, *shown_and_urgent: Any) -> Any:
    await execute_until_success(activity_stubs.get_price_book, KNOWN_BOOK)
    return await execute_until_success(stub, argument, *shown_and_urgent)


Release = Callable[..., Coroutine[Any, Any, Any]]
REPLAYS: dict[Release, tuple[Release, ...]] = {
    before: (before,),
    patched: (before, patched, deprecated),
    deprecated: (patched, deprecated, without_the_patch),
    without_the_patch: (deprecated, without_the_patch),
}


async def test_each_release_replays_histories_of_the_previous(
    stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriptions = {}
    async with open_scene(stack) as scene:
        for release in REPLAYS:
            monkeypatch.setattr("workflows.lifecycle.execute_until_success", release)
            runs = await SCENARIOS["cancelled-in-the-trial"].function(scene)
            subscriptions[release] = RecordedScenario("today", release.__name__, tuple(runs))
    for release in REPLAYS:
        monkeypatch.setattr("workflows.lifecycle.execute_until_success", release)
        replayed = {each for each in REPLAYS if not await differences(subscriptions[each])}
        assert replayed == {*REPLAYS[release]}, release.__name__
