"""Command preconditions: a command runs only in the state, on the day and at the prices seen."""

from typing import Any

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue

from subscription.commands import Command, parse_command
from subscription.refusals import RefusalCode

ARGUMENTS: dict[str, dict[str, Any]] = {
    "cancel": {"date": "2027-05-01"},
    "upgrade": {"members": 30},
    "change_renewal_option": {"term": None},
    "rename_account": {"group": "another"},
}


def test_command_runs_in_expected_state_and_on_expected_day() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-03-15 09:00")
    seen = {"sequence": subscription.state.sequence, "date": "2027-03-15"}
    subscription.send("cancel", date="2027-05-01", expects=seen)
    assert subscription.events[-1].event == "CANCELLATION_RESERVED"


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize(("earlier", "day"), [(1, "2027-03-15"), (0, "2027-03-14"), (-1, "2027-03-15")])
def test_command_is_refused_in_unexpected_state_or_day(command: str, earlier: int, day: str) -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-03-15 09:00")
    before = subscription.state
    seen = {"sequence": subscription.state.sequence - earlier, "date": day}
    assert (
        subscription.expect_refusal(command, expects=seen, **ARGUMENTS[command]).code
        is RefusalCode.CHANGED_MEANWHILE
    )
    assert subscription.state == before


def test_r19_command_is_refused_after_a_new_catalogue_version() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-03-15 09:00")
    seen = {"sequence": subscription.state.sequence, "date": "2027-03-15", "revision": 1}
    dearer = {"premium": {"list": 20_000, "annual": 18_000}}
    subscription.book = book_of(*subscription.book.versions, catalogue("2027-03-15", plans=dearer))
    refused = subscription.expect_refusal("upgrade", plan="premium", expects=seen)
    assert (refused.code, refused.judged_by_catalogue) == (RefusalCode.CHANGED_MEANWHILE, True)
    subscription.send("upgrade", plan="premium", expects={**seen, "revision": 2})


def test_expectation_does_not_change_the_fingerprint() -> None:
    seen = [{"sequence": sequence, "date": "2027-03-15"} for sequence in (4, 5)]
    commands = [parse_command("change_renewal_option", {"term": None, "expects": each}) for each in seen]
    assert len({command.fingerprint() for command in commands if isinstance(command, Command)}) == 1
