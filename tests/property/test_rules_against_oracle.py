"""The rules agree with an independent second implementation on random scenarios."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from support.sizes import SIZES

from property import oracle
from property.scenario_strategies import subscriptions
from subscription.catalogue import Catalogue, PriceBook
from subscription.scenario import ScenarioResult, read_scenario, simulate


def comparable(document: ScenarioResult) -> dict[str, Any]:
    """Return a result document in the format of the oracle."""
    written = document.to_json()
    columns = ("kind", "from", "to", "plan", "members", "amount", "effective_at")
    return {
        "accepted": [outcome["accepted"] for outcome in written["outcomes"]],
        "ledger": [{column: line[column] for column in columns} for line in written["ledger"]],
        "state": written["final"]["state"],
        "access": written["final"]["access"],
    }


@settings(max_examples=SIZES.oracle_cases, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subscriptions())
def test_the_rules_and_the_oracle_agree(subscription: tuple[dict[str, Any], dict[str, Any]]) -> None:
    catalogue, scenario = subscription
    book = PriceBook(versions=(Catalogue.model_validate(catalogue),))
    document = simulate(read_scenario(scenario), book, "subscription")
    assert comparable(document) == oracle.evaluate(scenario, catalogue)
