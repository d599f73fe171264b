"""The corpus is complete, files are only added, and it has no personal data."""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support.activity_types import ACTIVITY_TYPES
from support.service_env import PASSWORD

from subscription.activity_contracts import EraseInput, Provisioned, Transition
from subscription.commands import COMMANDS
from subscription.events import EVENT_ADAPTER
from workflows.registry import WORKFLOWS

from .corpus import (
    CHECKSUMS,
    CORPUS,
    RecordedScenario,
    checksums_of,
    promised_checksums,
    recorded_scenarios,
    releases,
)
from .record_corpus import ROOT, main, release_of_this_code, releases_that_are_out
from .recorded_effects import Effect, effects_of
from .scenarios import SCENARIOS

OUTCOMES = {"PROVISIONED", "REFUSED", "RECORDED", "NAME_TAKEN", "PRICE_BOOK_OUTDATED", "ADJUSTED"}


@pytest.mark.parametrize("release", releases())
def test_no_file_of_a_release_is_changed_or_missing(release: str) -> None:
    assert checksums_of(CORPUS / release) == promised_checksums(CORPUS / release), (
        f"The corpus is only ever added to: bring back what {CORPUS / release / CHECKSUMS} names. "
        "A release that is not out yet is recorded anew by `make corpus`."
    )


def test_every_published_release_has_been_recorded() -> None:
    missing = {*releases_that_are_out((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))} - {*releases()}
    assert not missing, "`make corpus` records a release; do it before CHANGELOG.md gives it a date."


def test_release_with_changelog_date_is_published() -> None:
    changelog = "## [0.3.0] - unreleased\n\n## [0.2.0] - 2027-03-01\n\n## [0.1.0] - 2027-01-15\n"
    assert releases_that_are_out(changelog) == ["0.2.0", "0.1.0"]


def test_published_release_is_not_recorded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = releases()[-1]
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{release}"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"## [{release}] - 2027-01-15\n")
    monkeypatch.setattr("replay.record_corpus.ROOT", tmp_path)
    assert main() == 2
    assert f"Release {release} is out" in capsys.readouterr().err
    assert checksums_of(CORPUS / release) == promised_checksums(CORPUS / release)


@pytest.fixture(scope="module")
def recorded_today() -> list[RecordedScenario]:
    """Return the recordings of the current or next release; empty before its first `make corpus`."""
    release = release_of_this_code()
    return recorded_scenarios(release) if release in releases() else []


def test_corpus_of_this_release_covers_every_scenario(recorded_today: list[RecordedScenario]) -> None:
    if not recorded_today:
        return
    effects = [
        effect for subscription in recorded_today for run in subscription.runs for effect in effects_of(run)
    ]
    lacking = {
        "scenarios": {*SCENARIOS} ^ {subscription.name for subscription in recorded_today},
        "workflows": {each.__name__ for each in WORKFLOWS} - {*workflows_in(recorded_today)},
        "activities": {*ACTIVITY_TYPES} - {effect.name for effect in effects},
        "outcomes": OUTCOMES - {getattr(effect.result, "outcome", "") for effect in effects},
        "events": {*EVENT_ADAPTER.json_schema()["discriminator"]["mapping"]} - {*events_in(effects)},
        "commands": {*COMMANDS} - {*updates_in(recorded_today)},
    }
    assert {what: names for what, names in lacking.items() if names} == {}, (
        "Add a scenario with them to tests/replay, then run `make corpus`."
    )


def workflows_in(subscriptions: list[RecordedScenario]) -> Iterator[str]:
    for subscription in subscriptions:
        for run in subscription.runs:
            yield run.events[0].workflow_execution_started_event_attributes.workflow_type.name


def events_in(effects: Iterable[Effect]) -> Iterator[str]:
    for effect in effects:
        match effect.argument:
            case Transition(events=events):
                yield from (event.event for event in events)
            case EraseInput(event=event):
                yield event.event
        if isinstance(effect.result, Provisioned):
            yield from (entry.event for entry in effect.result.timeline)


def updates_in(subscriptions: list[RecordedScenario]) -> Iterator[str]:
    for subscription in subscriptions:
        for run in subscription.runs:
            for event in run.events:
                accepted = event.workflow_execution_update_accepted_event_attributes
                yield accepted.accepted_request.input.name


@pytest.mark.parametrize("release", releases())
def test_corpus_has_no_personal_or_machine_data(release: str) -> None:
    for subscription in recorded_scenarios(release):
        for run in subscription.runs:
            text = run.to_json()
            said = b"\n".join(map(base64.b64decode, re.findall(r'"data": "([A-Za-z0-9+/=]+)"', text)))
            assert PASSWORD.encode() not in said
            assert set(re.findall(r'"identity": "(.*?)"', text)) == {"recorder"}
            assert "stackTrace" not in text
            assert str(ROOT) not in text
