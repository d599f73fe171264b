"""The replay tests detect incompatible workflow changes and accept patched ones."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.scenario_builder import KNOWN_BOOK
from temporalio import workflow

from subscription.commands import ChangeRenewalOption, Command
from subscription.decide import Decision, decide
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode
from subscription.state import Subscription
from workflows import activity_stubs
from workflows.activity_calls import execute_until_success

from .command_comparison import differences
from .corpus import RecordedScenario, recorded_scenarios, releases

Stub = Callable[[Frozen], Awaitable[Any]]


@pytest.fixture(scope="module")
def subscription() -> RecordedScenario:
    [subscription] = (
        subscription
        for subscription in recorded_scenarios(releases()[-1])
        if subscription.name == "annual-cancelled-early"
    )
    return subscription


async def load_prices_first(stub: Stub, argument: Frozen, *others: Any, **named: Any) -> Any:
    await execute_until_success(activity_stubs.get_price_book, KNOWN_BOOK)
    return await execute_until_success(stub, argument, *others, **named)


async def load_prices_first_if_patched(stub: Stub, argument: Frozen, *others: Any, **named: Any) -> Any:
    if workflow.patched("ask-for-prices-first"):
        await execute_until_success(activity_stubs.get_price_book, KNOWN_BOOK)
    return await execute_until_success(stub, argument, *others, **named)


def refusing(state: Subscription, command: Command, *others: Any) -> Decision | Refusal:
    if isinstance(command, ChangeRenewalOption):
        return Refusal(code=RefusalCode.INVALID_VALUE, message="Not on a Thursday.")
    return decide(state, command, *others)


def nothing(*arguments: object) -> list[Any]:
    return []


def twelve_percent(*arguments: object) -> int:
    return 12


def in_other_words(*arguments: object, **tense: object) -> str:
    return "Something has happened."


STOPPED = "it does not replay"
EXECUTE = "workflows.lifecycle.execute_until_success"
FOUND = {
    "an effect more": (EXECUTE, load_prices_first, STOPPED),
    "a refusal more": ("workflows.lifecycle.decide", refusing, STOPPED),
    "search attributes less": ("workflows.lifecycle.search_attribute_updates", nothing, STOPPED),
    "a longer run": ("workflows.lifecycle._MONTHS_OF_A_RUN", 12, STOPPED),
    "another percentage": ("subscription.due_events._fee_percent", twelve_percent, "was 10 and is now 12"),
    "nothing charged": ("subscription.due_events.service_fees", nothing, "events.0.posted was [{"),
}
PASSES = {
    "an effect more, guarded": (
        "workflows.lifecycle.execute_until_success",
        load_prices_first_if_patched,
    ),
    "other words": ("subscription.timeline.event_message", in_other_words),
}


async def test_unchanged_code_has_no_differences(subscription: RecordedScenario) -> None:
    assert await differences(subscription) == []


@pytest.mark.parametrize(("place", "edit", "expected"), FOUND.values(), ids=FOUND)
async def test_incompatible_workflow_edit_is_found(
    subscription: RecordedScenario, monkeypatch: pytest.MonkeyPatch, place: str, edit: Any, expected: str
) -> None:
    monkeypatch.setattr(place, edit)
    found = await differences(subscription)
    assert any(re.match("run [12] of 5", difference) and expected in difference for difference in found), (
        found
    )


@pytest.mark.parametrize(("place", "edit"), PASSES.values(), ids=PASSES)
async def test_compatible_workflow_edit_passes(
    subscription: RecordedScenario, monkeypatch: pytest.MonkeyPatch, place: str, edit: Any
) -> None:
    monkeypatch.setattr(place, edit)
    assert await differences(subscription) == []
