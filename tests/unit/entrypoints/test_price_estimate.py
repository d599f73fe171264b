"""Prices of the plans before a contract exists."""

import pytest

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from entrypoints.console.price_estimate import price_estimates

CATALOGUE = read_catalogue(DEFAULT_CATALOGUE)
"""Lite 3,600 and 3,000, basic 7,200 and 6,000, premium 12,000 and 10,000 won; at most 1,000 members."""


def test_price_estimates_multiply_members_by_price() -> None:
    estimates = price_estimates(CATALOGUE, 1000)
    assert [
        (plan, each.list_month, each.annual_month, each.annual_saving) for plan, each in estimates.items()
    ] == [
        ("lite", 3_600_000, 3_000_000, 7_200_000),
        ("basic", 7_200_000, 6_000_000, 14_400_000),
        ("premium", 12_000_000, 10_000_000, 24_000_000),
    ]


@pytest.mark.parametrize("members", [-1, 0, 1001, 10**18])
def test_price_estimates_of_impossible_members_have_no_total(members: int) -> None:
    for estimate in price_estimates(CATALOGUE, members).values():
        assert (estimate.list_month, estimate.annual_month, estimate.annual_saving) == (None, None, None)
