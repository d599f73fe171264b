"""Every recorded subscription replays with the current code to the same commands with the same contents."""

from pathlib import Path

import pytest

from .command_comparison import differences
from .corpus import CORPUS, read_scenario, releases, scenario_files

FILES = [file for release in releases() for file in scenario_files(release)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CORPUS)).partition(".json")[0])
async def test_recorded_histories_replay_identically(file: Path) -> None:
    subscription = read_scenario(file)
    found = await differences(subscription)
    assert not found, "\n".join(
        [
            *found,
            f"What {subscription.release} began would stop, or go another way than its record.",
            "docs/upgrading.md#workflow-changes says how to guard the change.",
        ]
    )
