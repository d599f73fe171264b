"""Commands that expect what their callers have seen: done for that state and that day alone."""

from typing import Any

import pytest

from rules.builders import Life
from subscription.commands import Command, read_command
from subscription.refusals import Code

ARGUMENTS: dict[str, dict[str, Any]] = {
    "cancel": {"date": "2027-05-01"},
    "upgrade": {"members": 30},
    "change_renewal_option": {"term": None},
    "rename_account": {"group": "another"},
}


def test_a_command_is_done_for_the_state_and_the_day_that_it_expects() -> None:
    life = Life.paid("2027-01-01", "ANNUAL").at("2027-03-15 09:00")
    seen = {"sequence": life.state.sequence, "date": "2027-03-15"}
    life.asks("cancel", date="2027-05-01", expects=seen)
    assert life.events[-1].event == "CANCELLATION_RESERVED"


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize(("earlier", "day"), [(1, "2027-03-15"), (0, "2027-03-14"), (-1, "2027-03-15")])
def test_it_is_refused_in_any_other_state_and_on_any_other_day(command: str, earlier: int, day: str) -> None:
    life = Life.paid("2027-01-01", "ANNUAL").at("2027-03-15 09:00")
    before = life.state
    seen = {"sequence": life.state.sequence - earlier, "date": day}
    assert life.refused(command, expects=seen, **ARGUMENTS[command]).code is Code.CHANGED_MEANWHILE
    assert life.state == before


def test_what_it_expects_does_not_tell_it_from_itself_sent_again() -> None:
    seen = [{"sequence": sequence, "date": "2027-03-15"} for sequence in (4, 5)]
    commands = [read_command("change_renewal_option", {"term": None, "expects": each}) for each in seen]
    assert len({command.fingerprint() for command in commands if isinstance(command, Command)}) == 1
