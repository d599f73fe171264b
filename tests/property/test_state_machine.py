"""The running service agrees with the rules for any commands at any time (R1-R33).

The small size always draws the same scenarios, the large size different ones each time.
"""

import asyncio

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from support.sizes import IS_LARGE, SIZES
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack

from .service_vs_rules import SideBySide
from .state_machine import SubscriptionMachine

settings.register_profile(
    "machine",
    max_examples=SIZES.machine_runs,
    stateful_step_count=SIZES.machine_steps,
    derandomize=not IS_LARGE,
    database=None,
    deadline=None,
    # Shrinking a failure would take an hour, and its steps can be read.
    phases=[Phase.generate],
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


async def test_service_matches_rules_in_random_scenarios(stack: EmbeddedStack, temporal: Client) -> None:
    loop = asyncio.get_running_loop()

    class Machine(SubscriptionMachine):
        def __init__(self) -> None:
            super().__init__(stack, temporal, loop)

    profile = settings.get_profile("machine")
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=profile)
    print(dict(SideBySide.tally.most_common()))
