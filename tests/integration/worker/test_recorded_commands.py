"""Lives of today ask Temporal for what they asked for when the newest release was recorded, in that order.

Replay finds what would stop the subscriptions that a release began. This finds, and shows, what is different
for those that begin now: it must be what a patch holds back from the former, and nothing else.
"""

from difflib import unified_diff

from replay.commands import by_life
from replay.corpus import COMMANDS, CORPUS, releases
from replay.recording_env import open_scene
from replay.scenarios import KINDS, commands_of, lived

from dev_stack.stack import EmbeddedStack


async def test_replay_issues_the_recorded_commands(stack: EmbeddedStack) -> None:
    newest = CORPUS / releases()[-1] / COMMANDS
    recorded = by_life(newest.read_text(encoding="utf-8"))
    async with open_scene(stack) as scene:
        subscriptions = await lived((KINDS[name] for name in recorded), scene)
    today = by_life(commands_of(subscriptions))
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
