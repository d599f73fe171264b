"""Every recorded subscription replays with the current code to the same commands with the same contents."""

import pytest

from .command_comparison import differences
from .corpus import RecordedScenario, recorded_scenarios, releases

LIVES = [subscription for release in releases() for subscription in recorded_scenarios(release)]


@pytest.mark.parametrize("subscription", LIVES, ids=str)
async def test_recorded_histories_replay_identically(subscription: RecordedScenario) -> None:
    found = await differences(subscription)
    assert not found, "\n".join(
        [
            *found,
            f"What {subscription.release} began would stop, or go another way than its record.",
            "docs/upgrading.md#workflow-changes says how to guard the change.",
        ]
    )
