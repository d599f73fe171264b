"""The state of a subscription: one immutable model from which everything else is derived."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from subscription.account import Account
from subscription.business_calendar import Day, Instant
from subscription.contract import Contract, ContractTerm, Rate, RenewalTerms
from subscription.domain_verification import PendingDomain
from subscription.model import Frozen

if TYPE_CHECKING:
    from subscription.request import Request


class State(StrEnum):
    PROVISIONING = "PROVISIONING"
    TRIAL = "TRIAL"
    SUSPENDED = "SUSPENDED"
    ACTIVE = "ACTIVE"
    CANCELED = "CANCELED"
    ERASED = "ERASED"
    REJECTED = "REJECTED"

    @property
    def accepts_commands(self) -> bool:
        return self in (State.TRIAL, State.SUSPENDED, State.ACTIVE)

    @property
    def is_terminal(self) -> bool:
        return self in (State.ERASED, State.REJECTED)


TRIAL_STATES = (State.TRIAL, State.SUSPENDED)
"""The states before the first contract: trial and grace period."""


class Access(StrEnum):
    FULL = "FULL"
    RESTRICTED = "RESTRICTED"
    NONE = "NONE"


class ReservedSwitch(Frozen):
    """A switch to paid on `date`; `reserved_on` decides which announced prices it pays (R35)."""

    kind: Literal["SWITCH_TO_PAID"] = "SWITCH_TO_PAID"
    date: Day
    reserved_on: Day
    term: ContractTerm
    plan: str
    members: int


class ReservedCancellation(Frozen):
    """A cancellation on `date`. `reserved_on` decides which notices are still to be sent (R34)."""

    kind: Literal["CANCELLATION"] = "CANCELLATION"
    date: Day
    reserved_on: Day | None = None


Reservation = Annotated[ReservedSwitch | ReservedCancellation, Field(discriminator="kind")]


class Subscription(Frozen):
    """The whole state of a subscription. After erasure it contains no personal data (R31).

    `plan` and `members` are those of the contract; without a contract, those of the request. `rates` go back
    as far as charges may still be calculated from them. `billed_until` is the first day for which no service
    fee has been posted. `domain_lost`: another subscription has verified this account's domain; there is no
    access until the account is renamed (R12).
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
    pending_domain: PendingDomain | None = None
    pending_rename_domain: PendingDomain | None = None
    domain_lost: bool = False
    renamed_at: Instant | None = None
    started_at: Instant | None = None
    trial_ends_at: Instant | None = None
    grace_ends_at: Instant | None = None
    contract: Contract | None = None
    rates: tuple[Rate, ...] = ()
    billed_until: Day | None = None
    renewal: RenewalTerms | None = None
    reservation: Reservation | None = None
    ended_at: Instant | None = None
    last_at: Instant | None = None

    @property
    def access(self) -> Access:
        """Return the access to the product in this state (see the table of states in the rules)."""
        if self.state not in (State.TRIAL, State.ACTIVE) or self.domain_lost:
            return Access.NONE
        return Access.FULL if self.pending_domain is None else Access.RESTRICTED

    @property
    def rate(self) -> Rate:
        """Return the rate in force; only a paid subscription has one."""
        return self.rates[-1]

    @property
    def admin_account(self) -> str | None:
        """Return the administrator's account, `ID@name`, which confirms a cancellation (R27).

        None after erasure.
        """
        return f"{self.admin_id}@{self.account.name}" if self.admin_id and self.account else None

    @property
    def pending_domains(self) -> tuple[PendingDomain, ...]:
        """Return the pending domains: the current one, and the one that is reserved for a rename."""
        return tuple(
            domain for domain in (self.pending_domain, self.pending_rename_domain) if domain is not None
        )


def provisioning(subscription_id: str, request: "Request") -> Subscription:
    """Return the state before any external resource exists (R9)."""
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
