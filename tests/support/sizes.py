"""Sizes of the tests that draw or repeat their cases: small in `make test`, large in `make test-all`.

`TEST_SIZE=large` chooses the large sizes. They draw other cases in each run; the small ones mostly do not.
"""

import os
from typing import NamedTuple

from subscription.idempotency import MOST_RECENT


class Sizes(NamedTuple):
    rule_cases: int
    """Generated subscriptions for each property of the rules."""
    oracle_cases: int
    """Generated scenarios for the comparison of the rules with the oracle."""
    scenarios_on_both_engines: int
    """Generated scenarios that run on Temporal and by the rules."""
    examples_on_temporal: int
    """Every n-th of the sixteen examples also runs on Temporal."""
    name_races: int
    """Names that two requests each want at the same time."""
    remembered_ids: int
    """Command IDs that a workflow keeps, in the tests that send more; 200 in the product."""
    flood_commands: int
    """Commands that each of ten callers sends without a pause."""
    flood_signals: int
    """Signals that wait for a worker; more than a run may have on the hasty server."""
    checks_of_busy_data: int
    """Reconciliation runs while commands change the data."""
    machine_runs: int
    machine_steps: int
    hostile_inputs: int
    """Corrupted inputs; most are requests and commands, because files take longer to parse."""
    api_cases: int
    """Schemathesis cases for each operation of the HTTP API."""
    restored_scenarios: int
    """Generated scenarios that are restored from a backup, in addition to the written ones."""
    chaos_subscriptions: int
    bulk_subscriptions: int
    """Subscriptions of a bulk run during which the worker, the API and the driver are killed."""


SMALL = Sizes(
    rule_cases=40,
    oracle_cases=100,
    scenarios_on_both_engines=4,
    examples_on_temporal=8,
    name_races=5,
    remembered_ids=6,
    flood_commands=4,
    flood_signals=200,
    checks_of_busy_data=2,
    machine_runs=2,
    machine_steps=20,
    hostile_inputs=5_000,
    api_cases=2,
    restored_scenarios=2,
    chaos_subscriptions=9,
    bulk_subscriptions=24,
)
LARGE = Sizes(
    rule_cases=1_000,
    oracle_cases=3_000,
    scenarios_on_both_engines=100,
    examples_on_temporal=1,
    name_races=50,
    remembered_ids=MOST_RECENT,
    flood_commands=20,
    flood_signals=2_500,
    checks_of_busy_data=20,
    machine_runs=100,
    machine_steps=50,
    hostile_inputs=100_000,
    api_cases=70,
    restored_scenarios=20,
    chaos_subscriptions=200,
    bulk_subscriptions=1_000,
)

IS_LARGE = {"small": False, "large": True}[os.environ.get("TEST_SIZE", "small")]
SIZES = LARGE if IS_LARGE else SMALL
