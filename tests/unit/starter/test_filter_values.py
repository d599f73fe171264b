"""Unknown filter values: each is refused with the list of valid values."""

import pytest

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from starter.filter_values import check_query, check_selection
from starter.filters import plan_is
from subscription.catalogue import PriceBook
from subscription.refusals import RefusalError

CATALOGUE = read_catalogue(DEFAULT_CATALOGUE)
WITHDRAWN = CATALOGUE.model_copy(
    update={"plans": {name: plan for name, plan in CATALOGUE.plans.items() if name != "premium"}}
)
BOOK = PriceBook(versions=(CATALOGUE, WITHDRAWN))
PLANS = "lite, basic, premium"
WRONG = {
    "Plan = 'basc'": f"query: Plan has no value 'basc'. Choose one of {PLANS}.",
    'Plan="basc" AND CustomerId = "C-1"': f"query: Plan has no value 'basc'. Choose one of {PLANS}.",
    "`Plan` != 'Basic'": f"query: Plan has no value 'Basic'. Choose one of {PLANS}.",
    "Plan IN ('lite', 'basc')": f"query: Plan has no value 'basc'. Choose one of {PLANS}.",
    "Plan not in ('')": f"query: Plan has no value ''. Choose one of {PLANS}.",
    "Access = 'OPEN'": "query: Access has no value 'OPEN'. Choose one of FULL, RESTRICTED, NONE.",
    "Term = 'YEARLY'": "query: Term has no value 'YEARLY'. Choose one of MONTHLY, ANNUAL.",
}


@pytest.mark.parametrize("query", WRONG)
def test_a_value_that_its_search_attribute_never_has_is_refused(query: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        check_query(query, BOOK)
    assert refusal.value.refused.code == "INVALID_ARGUMENT"
    assert refusal.value.refused.message == WRONG[query]


@pytest.mark.parametrize(
    "query",
    [
        "Plan = 'premium' AND SubscriptionState IN ('TRIAL', \"ACTIVE\")",
        "Plan IS NULL AND AccountName = 'basc'",
        "Plan STARTS_WITH 'b'",
        "TrialPlan = 'basc'",
    ],
)
def test_other_comparisons_are_left_to_temporal(query: str) -> None:
    check_query(query, BOOK)


def test_a_plan_that_was_ever_published_can_be_selected() -> None:
    check_selection(plan_is("premium"), BOOK)
    with pytest.raises(RefusalError) as refusal:
        check_selection(plan_is("basc"), BOOK)
    [problem] = refusal.value.refused.problems
    assert (problem.field, problem.code, problem.reason) == ("plan", "INVALID_VALUE", "NAMES_NOTHING")
    assert problem.message == f"There is no plan basc. Choose one of {PLANS}."
