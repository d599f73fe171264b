"""Contracts: terms, periods, rates and the terms of the next contract (R18, R19, R24)."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from subscription.business_calendar import Day
from subscription.model import Frozen
from subscription.prices import PlanPrices, PriceBasis, PriceOrigin


class ContractTerm(StrEnum):
    MONTHLY = "MONTHLY"
    ANNUAL = "ANNUAL"

    @property
    def months(self) -> int:
        return 12 if self is ContractTerm.ANNUAL else 1


TermField = Annotated[ContractTerm, Field(strict=False)]
PlanField = Annotated[str, Field(min_length=1, max_length=64)]

# The bound is that of a bigint only: smaller numbers above the catalogue's limit get TOO_MANY_MEMBERS.
MembersField = Annotated[int, Field(ge=1, le=2**63 - 1)]


class RenewalTerms(Frozen):
    """The terms of the next contract. Without `plan` or `members`, it keeps those of its first day (R24)."""

    term: TermField
    plan: PlanField | None = None
    members: MembersField | None = None


class Rate(Frozen):
    """The plan, members and prices that are charged from `first_day` until the next rate."""

    first_day: Day
    plan: str
    members: int
    list_price: int
    annual_price: int
    list_origin: PriceOrigin
    annual_origin: PriceOrigin
    term: ContractTerm

    @property
    def price(self) -> int:
        """Return the price in KRW per member and month: list if MONTHLY, annual if ANNUAL (R19)."""
        return self.price_under(self.term)

    @property
    def origin(self) -> PriceOrigin:
        """Return the origin of the price."""
        return self.annual_origin if self.term is ContractTerm.ANNUAL else self.list_origin

    @property
    def monthly(self) -> int:
        """Return the cost of a whole month in KRW."""
        return self.price * self.members

    def price_under(self, term: ContractTerm) -> int:
        """Return the price of a contract of this term at this rate (R19)."""
        return self.annual_price if term is ContractTerm.ANNUAL else self.list_price

    def same_charge_as(self, other: "Rate") -> bool:
        """Return whether days at these two rates belong to the same service fee line (R21)."""
        return (self.plan, self.members, self.price) == (other.plan, other.members, other.price)

    def with_members(self, members: int, first_day: date) -> "Rate":
        """Return the rate with other members from `first_day` on, at the prices that the contract keeps."""
        return self.model_copy(
            update={
                "members": members,
                "first_day": first_day,
                "list_origin": self.list_origin.model_copy(update={"basis": PriceBasis.KEPT}),
                "annual_origin": self.annual_origin.model_copy(update={"basis": PriceBasis.KEPT}),
            }
        )


def rate_of(plan: str, prices: PlanPrices, members: int, term: ContractTerm, first_day: date) -> Rate:
    return Rate(
        first_day=first_day,
        plan=plan,
        members=members,
        list_price=prices.list,
        annual_price=prices.annual,
        list_origin=prices.list_origin,
        annual_origin=prices.annual_origin,
        term=term,
    )


class Contract(Frozen):
    """One contract period, [first_day, end_day), in its chain of periods of the same term (R18)."""

    term: ContractTerm
    first_day: Day
    end_day: Day
    chain_first_day: Day
    periods_before: int = 0
    fee_percent: int
    begun_by_renewal: bool = False
