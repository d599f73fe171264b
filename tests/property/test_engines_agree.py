"""Scenarios have the same results on the running service and by the rules alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from support.sizes import SIZES

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from dev_stack.scenario_runner import simulate_by_rules, simulate_on_stack
from dev_stack.stack import EmbeddedStack
from property.scenario_strategies import catalogues, scenarios
from subscription import idempotency
from subscription.catalogue import Catalogue, PriceBook
from subscription.scenario import Scenario, read_scenario

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))
PAID = {"date": "2027-01-04", "term": "ANNUAL"}
ANNUAL, MONTHLY = {"term": "ANNUAL"}, {"term": "MONTHLY"}

Drawing = tuple[dict[str, Any], list[dict[str, Any]]]


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """Draw a catalogue and scenarios for it."""
    catalogue = draw(catalogues())
    subscriptions = [draw(scenarios(catalogue)) for _ in range(SIZES.scenarios_on_both_engines)]
    for number, subscription in enumerate(subscriptions):
        if number % 5:  # an unverified domain is checked hundreds of times a year, so only a few have one
            subscription["request"]["account"] = {"group": "acme"}
    return catalogue, subscriptions


def drawn() -> Drawing:
    """Return one example, the same in every run: the last one, because the first one is the simplest."""
    made: list[Drawing] = []

    @seed(34)
    @settings(max_examples=5, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drawings())
    def draw(drawing: Drawing) -> None:
        made.append(drawing)

    draw()
    return made[-1]


def written_scenarios() -> list[dict[str, Any]]:
    """Return scenarios on which the two engines once differed."""
    start, until = "2027-01-04T09:00:00+09:00", "2027-02-01T00:00:00+09:00"
    # Pending domains are checked every five minutes, later every hour, so scenarios with them are short.
    last_step = "2027-01-06T14:00:00+09:00"
    acme, other = {"domain": "acme.example"}, {"domain": "other.example"}
    return [
        {
            "name": "a proof that was found once is not there for a later pending_domain of the same name",
            "request": {"at": start, "account": acme},
            "steps": [
                {"at": "2027-01-04T10:00:00+09:00", "confirm_domain": {}},
                {"at": "2027-01-04T11:00:00+09:00", "rename_account": {"group": "acme"}},
                {"at": "2027-01-06T11:00:00+09:00", "rename_account": acme},
                {"at": "2027-01-06T12:00:00+09:00", "check_domain": {}},
                {"at": "2027-01-06T13:00:00+09:00", "rename_account": other},
                {"at": "2027-01-06T14:00:00+09:00", "confirm_domain": None},
            ],
            "until": last_step,
        },
        {
            "name": "a domain that another subscription verifies first, and a rename to one",
            "request": {"at": start, "account": acme},
            "steps": [
                {"at": "2027-01-04T09:01:00+09:00", "rename_account": other},
                {"at": "2027-01-04T09:02:00+09:00", "lose_domain": {}},
                {"at": "2027-01-04T09:02:00+09:00", "lose_domain": {}},
                {"at": "2027-01-04T09:03:00+09:00", "rename_account": other},
                {
                    "at": "2027-01-04T09:04:00+09:00",
                    "switch_to_paid": {"date": "2027-01-04", "term": "ANNUAL"},
                },
                {"at": "2027-01-04T09:05:00+09:00", "confirm_domain": {"id": "proof"}},
                {"at": "2027-01-04T09:06:00+09:00", "lose_domain": {"id": "proof"}},
                {"at": "2027-01-05T09:05:00+09:00", "rename_account": acme},
                {"at": "2027-01-05T09:06:00+09:00", "lose_domain": None},
                {"at": "2027-01-05T09:07:00+09:00", "rename_account": {"group": "acme"}},
            ],
            "until": last_step,
        },
        {
            "name": "what null means",
            "request": {"at": start},
            "steps": [
                {"at": "2027-01-05T09:00:00+09:00", "upgrade": None},
                {"at": "2027-01-05T09:00:00+09:00", "withdraw_reservation": None},
                {
                    "at": "2027-01-05T09:00:00+09:00",
                    "switch_to_paid": {"date": "2027-01-05", "term": "ANNUAL"},
                },
                {"at": "2027-01-05T09:00:00+09:00", "change_renewal_option": None},
                {"at": "2027-01-05T09:00:00+09:00", "cancel": None},
                {"at": "2027-01-05T09:00:00+09:00", "upgrade": {"plan": "", "members": 20}},
            ],
            "until": until,
        },
        {
            "name": "an accepted command is sent again under its id, and another one under it",
            "request": {"at": start},
            "steps": [
                {"at": "2027-01-05T09:00:00+09:00", "cancel": {"date": "2027-01-09", "id": "a"}},
                {"at": "2027-01-05T09:00:00+09:00", "withdraw_reservation": {"id": "b"}},
                {"at": "2027-01-05T09:00:00+09:00", "cancel": {"date": "2027-01-09", "id": "a"}},
                {"at": "2027-01-05T09:00:00+09:00", "cancel": {"date": "2027-01-08", "id": "a"}},
                {"at": "2027-01-10T09:00:00+09:00", "cancel": {"date": "2027-01-10", "id": "c"}},
                {"at": "2027-01-11T09:00:00+09:00", "cancel": {"date": "2027-01-10", "id": "c"}},
                {"at": "2027-01-11T09:00:00+09:00", "withdraw_reservation": {"id": "c"}},
            ],
            "until": until,
        },
        {
            "name": "members in use",
            "request": {"at": start, "members": 5},
            "steps": [
                {"at": "2027-01-05T09:00:00+09:00", "members_in_use": {"count": 6}},
                {
                    "at": "2027-01-05T09:00:00+09:00",
                    "switch_to_paid": {"date": "2027-01-05", "term": "ANNUAL"},
                },
                {"at": "2027-01-06T09:00:00+09:00", "members_in_use": {"count": 5}},
                {
                    "at": "2027-01-06T09:00:00+09:00",
                    "switch_to_paid": {"date": "2027-01-06", "term": "ANNUAL"},
                },
                {"at": "2027-01-07T09:00:00+09:00", "change_renewal_option": {**ANNUAL, "members": 4}},
                {"at": "2027-01-07T09:00:00+09:00", "change_renewal_option": None},
                {"at": "2027-01-07T09:00:00+09:00", "cancel": {"date": "2027-01-07"}},
                {"at": "2027-01-08T09:00:00+09:00", "members_in_use": {"count": 9}},
            ],
            "until": until,
        },
        {
            "name": "a microsecond before midnight, with a deadline at it",
            "request": {"at": "2027-01-04T23:59:59.999999+09:00"},
            "steps": [
                {
                    "at": "2027-01-04T23:59:59.999999+09:00",
                    "switch_to_paid": {"date": "2027-01-05", "term": "ANNUAL"},
                },
                {"at": "2027-01-04T23:59:59.999999+09:00", "cancel": {"date": "2027-01-04"}},
            ],
            "until": "2027-01-04T23:59:59.999999+09:00",
        },
        {
            "name": "it ends before what is reserved",
            "request": {"at": "2027-01-04T23:59:59.999999+09:00"},
            "steps": [{"at": "2027-01-04T23:59:59.999999+09:00", "cancel": {"date": "2027-01-05"}}],
            "until": "2027-01-04T23:59:59.999999+09:00",
        },
        {
            "name": "a command without effect leaves its id to another one",
            "request": {"at": start, "account": acme},
            "steps": [
                {"at": "2027-01-04T09:10:00+09:00", "check_domain": {"id": "a"}},
                {"at": "2027-01-04T09:10:00+09:00", "cancel": {"date": "2027-01-09", "id": "a"}},
                {"at": "2027-01-04T09:10:00+09:00", "cancel": {"date": "2027-01-09", "id": "a"}},
                {"at": "2027-01-04T09:10:00+09:00", "check_domain": {"id": "a"}},
                {"at": "2027-01-04T09:10:00+09:00", "withdraw_reservation": {"id": "a"}},
            ],
            "until": "2027-01-04T09:10:00+09:00",
        },
        {
            "name": "an id is free again once another command is accepted after 31 days, to the microsecond",
            "request": {"at": start},
            "steps": [
                {"at": start, "switch_to_paid": PAID | {"id": "a"}},
                {"at": "2027-02-04T08:59:59.999999+09:00", "switch_to_paid": PAID | {"id": "a"}},
                {"at": "2027-02-04T08:59:59.999999+09:00", "change_renewal_option": MONTHLY | {"id": "a"}},
                {"at": "2027-02-04T08:59:59.999999+09:00", "change_renewal_option": ANNUAL | {"id": "b"}},
                {"at": "2027-02-04T08:59:59.999999+09:00", "change_renewal_option": MONTHLY | {"id": "a"}},
                {"at": "2027-02-04T09:00:00+09:00", "change_renewal_option": ANNUAL | {"id": "c"}},
                {"at": "2027-02-04T09:00:00+09:00", "change_renewal_option": MONTHLY | {"id": "a"}},
                {"at": "2027-02-04T09:00:00+09:00", "switch_to_paid": PAID | {"id": "a"}},
            ],
            "until": "2027-02-04T09:00:00+09:00",
        },
        {
            "name": "after the end an id is never free again",
            "request": {"at": start},
            "steps": [
                {"at": start, "cancel": {"date": "2027-01-04", "id": "a"}},
                {"at": "2027-02-10T09:00:00+09:00", "cancel": {"date": "2027-01-04", "id": "a"}},
                {"at": "2027-02-10T09:00:00+09:00", "cancel": {"date": "2027-01-05", "id": "a"}},
            ],
            "until": "2027-02-10T09:00:00+09:00",
        },
        {
            "name": "more ids than a workflow knows itself",
            "request": {"at": start},
            "steps": [
                {"at": start, "switch_to_paid": PAID | {"id": "a"}},
                *(
                    {"at": start, "change_renewal_option": option | {"id": f"{number}{option['term']}"}}
                    for number in range(SIZES.remembered_ids // 2 + 1)
                    for option in (MONTHLY, ANNUAL)
                ),
                {"at": "2027-02-04T08:59:59.999999+09:00", "switch_to_paid": PAID | {"id": "a"}},
                {"at": "2027-02-04T08:59:59.999999+09:00", "change_renewal_option": MONTHLY | {"id": "a"}},
                {"at": "2027-02-04T09:00:00+09:00", "change_renewal_option": MONTHLY | {"id": "a"}},
            ],
            "until": "2027-02-04T09:00:00+09:00",
        },
    ]


async def test_example_scenarios_match_on_temporal(
    stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_RECENT", SIZES.remembered_ids)
    book = PriceBook(versions=(read_catalogue(DEFAULT_CATALOGUE),))
    written = written_scenarios()
    # The expected results of the examples are tested without Temporal, in tests/cli/test_simulate.py.
    examples = [yaml.safe_load(path.read_text()) for path in EXAMPLES[:: SIZES.examples_on_temporal]]
    subscriptions = [read_scenario(scenario) for scenario in (*written, *examples)]
    by_rules = simulate_by_rules(subscriptions, book)
    accepted = [[outcome.accepted for outcome in document.outcomes] for document in by_rules]
    assert accepted[: len(written)] == [
        [True, True, True, True, True, True],
        [True, True, False, True, True, True, True, True, True, True],
        [False, False, True, True, False, False],
        [True, True, True, False, True, True, False],
        [True, False, True, True, False, True, True, True],
        [True, True],
        [True],
        [True, True, True, False, False],
        [True, True, False, True, False, True, True, False],
        [True, True, False],
        [True, *[True] * (SIZES.remembered_ids + 2), True, False, True],
    ]
    on_temporal = await simulate_on_stack(stack, subscriptions, book)
    assert [document.to_json() for document in on_temporal] == [document.to_json() for document in by_rules]


async def test_generated_scenarios_match_on_temporal(stack: EmbeddedStack) -> None:
    catalogue, written = drawn()
    book = PriceBook(versions=(Catalogue.model_validate(catalogue),))
    subscriptions: list[Scenario] = [read_scenario(scenario) for scenario in written]
    by_rules = simulate_by_rules(subscriptions, book)
    on_temporal = await simulate_on_stack(stack, subscriptions, book)
    assert [document.to_json() for document in on_temporal] == [document.to_json() for document in by_rules]
