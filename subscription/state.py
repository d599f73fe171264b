"""Where a subscription stands: one frozen value, from which everything else is worked out."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from subscription.calendar import Day, Instant
from subscription.catalogue import Plan
from subscription.commands import ContractTerm, RenewalTerms
from subscription.domain_proof import DomainClaim
from subscription.model import Frozen
from subscription.request import Account, Request


class State(StrEnum):
    PROVISIONING = "PROVISIONING"
    TRIAL = "TRIAL"
    SUSPENDED = "SUSPENDED"
    ACTIVE = "ACTIVE"
    CANCELED = "CANCELED"
    ERASED = "ERASED"
    REJECTED = "REJECTED"

    @property
    def commandable(self) -> bool:
        return self in (State.TRIAL, State.SUSPENDED, State.ACTIVE)

    @property
    def over(self) -> bool:
        return self in (State.ERASED, State.REJECTED)


class Access(StrEnum):
    FULL = "FULL"
    RESTRICTED = "RESTRICTED"
    NONE = "NONE"


class Rate(Frozen):
    """What is charged from a day on, until the next rate: the plan, the members and their prices."""

    first_day: Day
    plan: str
    members: int
    list_price: int
    annual_price: int
    term: ContractTerm

    @property
    def price(self) -> int:
        """KRW a member a month: a MONTHLY contract pays list, an ANNUAL one pays annual (R19)."""
        return self.annual_price if self.term is ContractTerm.ANNUAL else self.list_price

    def same_charge_as(self, other: "Rate") -> bool:
        """Whether the two make one unbroken run of a service fee (R21)."""
        return (self.plan, self.members, self.price) == (other.plan, other.members, other.price)


def rate_of(plan_id: str, plan: Plan, members: int, term: ContractTerm, first_day: date) -> Rate:
    return Rate(
        first_day=first_day,
        plan=plan_id,
        members=members,
        list_price=plan.list,
        annual_price=plan.annual,
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


class ReservedSwitch(Frozen):
    kind: Literal["SWITCH_TO_PAID"] = "SWITCH_TO_PAID"
    date: Day
    term: ContractTerm
    plan: str
    members: int


class ReservedCancellation(Frozen):
    kind: Literal["CANCELLATION"] = "CANCELLATION"
    date: Day


Reservation = Annotated[ReservedSwitch | ReservedCancellation, Field(discriminator="kind")]


class Subscription(Frozen):
    """The whole state. After erasure nothing is left in it that names a person (R31).

    `plan` and `members` are those of the contract, or those requested while there is none. `rates` goes
    back as far as something may still have to be worked out from it. `billed_up_to` is the first day
    that no service fee has been posted for.
    """

    subscription_id: str
    customer_id: str
    region: str
    platform: str
    state: State = State.PROVISIONING
    sequence: int = 0
    account: Account | None = None
    admin_id: str | None = None
    plan: str
    members: int
    claim: DomainClaim | None = None
    rename_claim: DomainClaim | None = None
    renamed_at: Instant | None = None
    started_at: Instant | None = None
    trial_ends_at: Instant | None = None
    grace_ends_at: Instant | None = None
    contract: Contract | None = None
    rates: tuple[Rate, ...] = ()
    billed_up_to: Day | None = None
    renewal: RenewalTerms | None = None
    reservation: Reservation | None = None
    ended_at: Instant | None = None
    last_at: Instant | None = None

    @property
    def access(self) -> Access:
        """Who may use the product now (the table of states)."""
        if self.state not in (State.TRIAL, State.ACTIVE):
            return Access.NONE
        return Access.FULL if self.claim is None else Access.RESTRICTED

    @property
    def rate(self) -> Rate:
        """The rate in force; only a paid subscription has one."""
        return self.rates[-1]

    @property
    def claims(self) -> tuple[DomainClaim, ...]:
        """The domains that are still to be proved: the one in use, the one held for a change of name."""
        return tuple(claim for claim in (self.claim, self.rename_claim) if claim is not None)


def provisioning(subscription_id: str, request: Request) -> Subscription:
    """The state before anything exists (R9)."""
    return Subscription(
        subscription_id=subscription_id,
        customer_id=request.customer_id,
        region=request.region,
        platform=request.platform,
        account=request.account.account,
        admin_id=request.admin_id,
        plan=request.plan,
        members=request.members,
    )
