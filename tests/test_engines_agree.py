"""The running service makes of a scenario exactly what the rules alone make of it."""

from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from scenario_strategies import catalogues, scenarios

from starter.simulation import simulate_by_rules, simulate_on_temporal
from subscription.catalogue import Catalogue, PriceBook
from subscription.simulation import Scenario, read_scenario

GENERATED = 25

Drawing = tuple[dict[str, Any], list[dict[str, Any]]]


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """A catalogue, and so many lives under it."""
    catalogue = draw(catalogues())
    lives = [draw(scenarios(catalogue)) for _ in range(GENERATED)]
    for number, life in enumerate(lives):
        if number % 5:  # an unproved domain is looked for hundreds of times a year, so a few are enough
            life["request"]["account"] = {"group": "acme"}
    return catalogue, lives


def drawn() -> Drawing:
    """One drawing, the same in every run; the first that hypothesis makes is its simplest, so the last."""
    made: list[Drawing] = []

    @seed(20261122)
    @settings(max_examples=5, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drawings())
    def draw(drawing: Drawing) -> None:
        made.append(drawing)

    draw()
    return made[-1]


async def test_generated_lives_come_to_the_same_on_temporal() -> None:
    catalogue, written = drawn()
    book = PriceBook(versions=(Catalogue.model_validate(catalogue),))
    lives: list[Scenario] = [read_scenario(scenario) for scenario in written]
    by_rules = simulate_by_rules(lives, book)
    on_temporal = await simulate_on_temporal(lives, book)
    assert [document.to_json() for document in on_temporal] == [document.to_json() for document in by_rules]
