"""Tests of the filters of lists: the console has those of the API, under the same names."""

from dataclasses import fields
from datetime import date, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from entrypoints.api.routes.lists import SubscriptionFilter
from entrypoints.console.views.operator_list import ListFilter, Search
from starter.filters import Filter, to_visibility_query

KST = timezone(timedelta(hours=9))
TODAY = date(2027, 3, 17)


def test_console_list_has_the_filters_of_the_api() -> None:
    assert {field.name for field in fields(SubscriptionFilter)} == set(ListFilter.model_fields)


def test_day_in_a_list_filter_means_its_start_in_korea() -> None:
    search = Search.model_validate({"trial_ends_at_from": "2027-03-01", "contract_to_before": "2027-04-01"})
    assert search.selection(TODAY) == (
        Filter("trial_ends_at", "TrialEndsAt", ">=", datetime(2027, 3, 1, tzinfo=KST)),
        Filter("contract_to", "ContractEndsAt", "<", date(2027, 4, 1)),
    )
    with pytest.raises(ValidationError):
        Search.model_validate({"trial_ends_at_from": "1 March"})


def test_named_filter_is_combined_with_those_of_search_attributes() -> None:
    parameters = {"which": "needs-attention", "plan": "basic", "account_name": "ACME", "state": "ACTIVE"}
    query = to_visibility_query(Search.model_validate(parameters).selection(TODAY))
    assert query is not None
    assert query.startswith(
        "NeedsAttention = true AND SubscriptionState = 'ACTIVE' AND AccountName = 'acme' AND Plan = 'basic'"
    )
