"""Prices of a plan, each with its origin in a catalogue version (R19, R35)."""

from enum import StrEnum

from subscription.business_calendar import Day
from subscription.model import Frozen


class PriceBasis(StrEnum):
    """The reason why the price of a catalogue version applies."""

    IN_FORCE = "IN_FORCE"
    """The version was in force on the day of the decision."""
    LAST_SOLD = "LAST_SOLD"
    """The version was the last one that sold the plan."""
    ANNOUNCED = "ANNOUNCED"
    """It is lower than the price in force, which was not announced in time."""
    KEPT = "KEPT"
    """The contract kept it when members were added."""


class PriceOrigin(Frozen):
    """The catalogue version of a price, and the contract's day for which the price was decided."""

    version: str
    basis: PriceBasis
    decided_on: Day


class PlanPrices(Frozen):
    """The two prices of a plan on a day, in KRW per member and month."""

    list: int
    annual: int
    list_origin: PriceOrigin
    annual_origin: PriceOrigin

    def lower_of_each(self, other: "PlanPrices") -> "PlanPrices":
        """Return the lower one of each of the two prices; of equal prices, the one of `self`."""
        for_list = other if other.list < self.list else self
        for_annual = other if other.annual < self.annual else self
        return PlanPrices(
            list=for_list.list,
            annual=for_annual.annual,
            list_origin=for_list.list_origin,
            annual_origin=for_annual.annual_origin,
        )
