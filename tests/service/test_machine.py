"""The running service and the rules never part, whatever is asked and whenever (R1-R33).

`MACHINE_LIVES` and `MACHINE_STEPS` say how many lives are thought up, and how long; with the first, others
each time.
"""

import asyncio
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack

from .machine import LifeMachine
from .side_by_side import SideBySide

settings.register_profile(
    "machine",
    max_examples=int(os.environ.get("MACHINE_LIVES", "6")),
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

    class Machine(LifeMachine):
        def __init__(self) -> None:
            super().__init__(stack, temporal, loop)

    profile = settings.get_profile("machine")
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=profile)
    print(dict(SideBySide.tally.most_common()))
