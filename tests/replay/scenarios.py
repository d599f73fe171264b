"""All scenarios, and their execution."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from support.polling import gather_all
from temporalio.client import WorkflowHistory

from . import failure_scenarios, job_scenarios, subscription_scenarios
from .commands import described
from .recording_env import ReplayScenario, Scene

# With more of them on a busy machine, workflow tasks time out and are repeated.
CONCURRENT_SCENARIOS = 5

SCENARIOS: Mapping[str, ReplayScenario] = {
    kind.name: kind
    for module in (subscription_scenarios, failure_scenarios, job_scenarios)
    for kind in vars(module).values()
    if isinstance(kind, ReplayScenario)
}


async def run_scenarios(kinds: Iterable[ReplayScenario], scene: Scene) -> dict[str, list[WorkflowHistory]]:
    """Run these scenarios; return the histories by scenario name."""
    slots = asyncio.Semaphore(CONCURRENT_SCENARIOS)

    async def one(kind: ReplayScenario) -> list[WorkflowHistory]:
        async with slots:
            return await kind.function(scene)

    chosen = list(kinds)
    histories = await gather_all(one(kind) for kind in chosen)
    return {kind.name: runs for kind, runs in zip(chosen, histories, strict=True)}


def commands_of(subscriptions: Mapping[str, Sequence[WorkflowHistory]]) -> str:
    """Return the commands of the scenarios that are compared, by name."""
    return "".join(
        described(name, subscriptions[name]) for name in sorted(subscriptions) if SCENARIOS[name].compared
    )
