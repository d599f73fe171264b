"""New subscriptions issue the same workflow commands as the recordings of the newest release.

Replay tests find changes that would block running subscriptions. This test finds and shows the changes for
new subscriptions: only changes that are guarded by a patch for running ones are allowed.
"""

from difflib import unified_diff

from replay.commands import by_scenario
from replay.corpus import COMMANDS, CORPUS, releases
from replay.recording_env import open_scene
from replay.scenarios import SCENARIOS, commands_of, run_scenarios

from dev_stack.stack import EmbeddedStack


async def test_new_subscriptions_issue_the_recorded_commands(stack: EmbeddedStack) -> None:
    newest = CORPUS / releases()[-1] / COMMANDS
    recorded = by_scenario(newest.read_text(encoding="utf-8"))
    async with open_scene(stack) as scene:
        subscriptions = await run_scenarios((SCENARIOS[name] for name in recorded), scene)
    today = by_scenario(commands_of(subscriptions))
    differences = [
        line
        for name, commands in recorded.items()
        for line in unified_diff(
            commands.splitlines(), today[name].splitlines(), f"{newest}: {name}", "today", n=3, lineterm=""
        )
    ]
    assert not differences, "\n".join(
        [
            *differences,
            "If that is meant: docs/upgrading.md says how to guard it, and `make corpus` records it.",
        ]
    )
