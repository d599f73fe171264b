"""All kinds of lives, and living them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from support.polling import gather_all
from temporalio.client import WorkflowHistory

from . import failure_scenarios, job_scenarios, subscription_scenarios
from .commands import described
from .recording_env import KindOfLife, Scene

# On a busy machine with more of them, workflow tasks take longer than the server waits, and are repeated.
LIVES_AT_ONCE = 5

KINDS: Mapping[str, KindOfLife] = {
    kind.name: kind
    for module in (subscription_scenarios, failure_scenarios, job_scenarios)
    for kind in vars(module).values()
    if isinstance(kind, KindOfLife)
}


async def lived(kinds: Iterable[KindOfLife], scene: Scene) -> dict[str, list[WorkflowHistory]]:
    """The histories of each of these lives, by its name."""
    places = asyncio.Semaphore(LIVES_AT_ONCE)

    async def one(kind: KindOfLife) -> list[WorkflowHistory]:
        async with places:
            return await kind.live(scene)

    chosen = list(kinds)
    histories = await gather_all(one(kind) for kind in chosen)
    return {kind.name: runs for kind, runs in zip(chosen, histories, strict=True)}


def commands_of(subscriptions: Mapping[str, Sequence[WorkflowHistory]]) -> str:
    """What those of these lives asked for that are to be compared, by name."""
    return "".join(
        described(name, subscriptions[name]) for name in sorted(subscriptions) if KINDS[name].compared
    )
