"""The longest test files exist and start first."""

import pytest
from support.longest import LONGEST, TESTS, order_of


def test_prioritized_files_exist() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def test_the_tests_of_this_run_are_in_that_order(request: pytest.FixtureRequest) -> None:
    places = [order_of(item.path) for item in request.session.items]
    assert places == sorted(places)
