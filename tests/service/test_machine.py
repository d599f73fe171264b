"""Issue: the running service and the rules never part, whatever is asked and whenever (R1-R33)."""

import asyncio
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack

from .machine import LifeMachine

settings.register_profile(
    "machine",
    max_examples=int(os.environ.get("MACHINE_LIVES", "8")),
    stateful_step_count=int(os.environ.get("MACHINE_STEPS", "20")),
    derandomize="MACHINE_LIVES" not in os.environ,
    database=None,
    deadline=None,
    # Making a failure smaller would take an hour, and twenty steps can be read.
    phases=[Phase.generate],
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


async def test_the_service_and_the_rules_live_the_same_life(stack: EmbeddedStack, temporal: Client) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(
        run_state_machine_as_test,
        lambda: LifeMachine(stack, temporal, loop),
        settings=settings.get_profile("machine"),
    )
    print(dict(LifeMachine.tally.most_common()))
