"""Prices of the plans for a number of members, before a contract exists (R19, R20)."""

from subscription.catalogue import Catalogue, Plan
from subscription.model import Frozen

_MONTHS_OF_A_YEAR = 12


class PriceEstimate(Frozen):
    """Whole months of a plan in KRW, before VAT; None if the number of members is not allowed.

    request.js has the same arithmetic, for a total while the user types.
    """

    plan: Plan
    annual_month: int | None = None
    list_month: int | None = None
    annual_saving: int | None = None
    """The difference of a year under an annual contract from a year at list price."""


def price_estimates(catalogue: Catalogue, members: int) -> dict[str, PriceEstimate]:
    """Return the prices of all plans for this number of members, the lowest plan first."""
    plans = sorted(catalogue.plans.items(), key=lambda entry: entry[1].rank)
    return {plan_id: _estimate(plan, members, catalogue.max_members_requested) for plan_id, plan in plans}


def _estimate(plan: Plan, members: int, most: int) -> PriceEstimate:
    if not 1 <= members <= most:
        return PriceEstimate(plan=plan)
    annual, monthly = members * plan.annual, members * plan.list
    return PriceEstimate(
        plan=plan,
        annual_month=annual,
        list_month=monthly,
        annual_saving=_MONTHS_OF_A_YEAR * (monthly - annual),
    )
