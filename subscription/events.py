"""Domain events. Immutable; fields that may identify a person are marked `private` (R31).

The database stores private fields, such as a new account name, in a separate table. Erasure deletes them
there and leaves the events unchanged (R31).
"""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from subscription.account import Account, AccountKind
from subscription.business_calendar import Day, Instant
from subscription.contract import Contract, Rate, RenewalTerms
from subscription.domain_verification import PendingDomain
from subscription.ledger import LedgerLine
from subscription.messages import Parameters
from subscription.model import Frozen
from subscription.refusals import Problem, Refusal
from subscription.request import TermAgreement
from subscription.state import ReservedCancellation, ReservedSwitch
from subscription.validation import redact_field_names

Private = Field(json_schema_extra={"private": True})


class BaseEvent(Frozen):
    """The common fields of events. `at` is business time: when the event was due or requested."""

    at: Instant

    @property
    def lines(self) -> tuple[LedgerLine, ...]:
        """Return the ledger lines that this event posts."""
        return ()


class TrialStarted(BaseEvent):
    event: Literal["TRIAL_STARTED"] = "TRIAL_STARTED"
    trial_ends_at: Instant
    grace_ends_at: Instant
    agreed_terms: tuple[TermAgreement, ...]
    pending_domain: Annotated[PendingDomain | None, Private] = None


class TrialEnded(BaseEvent):
    event: Literal["TRIAL_ENDED"] = "TRIAL_ENDED"
    grace_ends_at: Instant


class SwitchReserved(BaseEvent):
    event: Literal["SWITCH_RESERVED"] = "SWITCH_RESERVED"
    switch: ReservedSwitch
    replaced: Day | None = None


class SwitchedToPaid(BaseEvent):
    event: Literal["SWITCHED_TO_PAID"] = "SWITCHED_TO_PAID"
    contract: Contract
    rate: Rate
    cleared: ReservedSwitch | ReservedCancellation | None = None


class RenewalOptionChanged(BaseEvent):
    event: Literal["RENEWAL_OPTION_CHANGED"] = "RENEWAL_OPTION_CHANGED"
    option: RenewalTerms | None


class MonthlyCost(Frozen):
    before: int
    after: int


class Upgraded(BaseEvent):
    event: Literal["UPGRADED"] = "UPGRADED"
    rate: Rate
    contract: Contract
    agreed_terms: tuple[TermAgreement, ...]
    raised_option: RenewalTerms | None = None
    raised_cost: MonthlyCost | None = None
    """The monthly cost of the renewal option at this day's prices, before and after it was raised."""


class ServiceFeesPosted(BaseEvent):
    event: Literal["SERVICE_FEES_POSTED"] = "SERVICE_FEES_POSTED"
    billed_until: Day
    posted: tuple[LedgerLine, ...]

    @property
    def lines(self) -> tuple[LedgerLine, ...]:
        return self.posted


class ContractRenewed(BaseEvent):
    event: Literal["CONTRACT_RENEWED"] = "CONTRACT_RENEWED"
    contract: Contract
    rate: Rate


class CancellationReserved(BaseEvent):
    event: Literal["CANCELLATION_RESERVED"] = "CANCELLATION_RESERVED"
    date: Day
    replaced: Day | None = None


class ReservationWithdrawn(BaseEvent):
    event: Literal["RESERVATION_WITHDRAWN"] = "RESERVATION_WITHDRAWN"
    withdrawn: Annotated[ReservedSwitch | ReservedCancellation, Field(discriminator="kind")]


class Canceled(BaseEvent):
    event: Literal["CANCELED"] = "CANCELED"
    because: Literal["ASKED", "RESERVED", "TRIAL_ENDED", "GRACE_ENDED"]
    billed_until: Day | None
    posted: tuple[LedgerLine, ...]
    cleared: ReservedSwitch | ReservedCancellation | None = None

    @property
    def lines(self) -> tuple[LedgerLine, ...]:
        return self.posted


class Erased(BaseEvent):
    event: Literal["ERASED"] = "ERASED"


class DomainConfirmed(BaseEvent):
    """The ownership of the subscription's domain is verified: the subscription holds the name (R12)."""

    event: Literal["DOMAIN_CONFIRMED"] = "DOMAIN_CONFIRMED"
    domain: Annotated[str | None, Private] = None


class DomainLost(BaseEvent):
    """Another subscription has verified a pending domain of this one (R12).

    `purpose` is what the domain was claimed for: the account's own name, or a rename, which is dropped.
    The event contains nothing about the other subscription.
    """

    event: Literal["DOMAIN_LOST"] = "DOMAIN_LOST"
    purpose: Literal["ACCOUNT", "RENAME"]
    domain: Annotated[str | None, Private] = None


class AccountRenamed(BaseEvent):
    event: Literal["ACCOUNT_RENAMED"] = "ACCOUNT_RENAMED"
    kind: AccountKind
    account: Annotated[Account | None, Private] = None
    released: Annotated[tuple[str, ...], Private] = ()


class RenameHeld(BaseEvent):
    """A domain name is claimed. It becomes the account name when its ownership is verified (R10)."""

    event: Literal["RENAME_HELD"] = "RENAME_HELD"
    pending_domain: Annotated[PendingDomain | None, Private] = None
    released: Annotated[tuple[str, ...], Private] = ()


class RenameWithdrawn(BaseEvent):
    event: Literal["RENAME_WITHDRAWN"] = "RENAME_WITHDRAWN"
    released: Annotated[tuple[str, ...], Private] = ()


class CommandRefused(BaseEvent):
    """A signal that the rules refused. Updates have no such event, because their caller gets the refusal.

    An event with a `count` summarizes the signals of a day beyond those that have their own entries.
    """

    event: Literal["REFUSED"] = "REFUSED"
    command: str
    code: str
    reason: str | None = None
    parameters: Parameters = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    message: str
    count: int = 0

    @classmethod
    def of(cls, at: datetime, command: str, refused: Refusal) -> "CommandRefused":
        """Return the event of a refusal, without unknown field names, which may be personal data."""
        return cls(
            at=at,
            command=command,
            code=refused.code,
            reason=refused.reason,
            parameters=refused.parameters,
            problems=redact_field_names(refused.problems),
            message=refused.message,
        )

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """Return the refusal itself, followed by its problems."""
        whole = Problem(code=self.code, reason=self.reason, parameters=self.parameters, message=self.message)
        return whole, *self.problems


Event = Annotated[
    TrialStarted
    | TrialEnded
    | SwitchReserved
    | SwitchedToPaid
    | RenewalOptionChanged
    | Upgraded
    | ServiceFeesPosted
    | ContractRenewed
    | CancellationReserved
    | ReservationWithdrawn
    | Canceled
    | Erased
    | DomainConfirmed
    | DomainLost
    | AccountRenamed
    | RenameHeld
    | RenameWithdrawn
    | CommandRefused,
    Field(discriminator="event"),
]

EVENT_KINDS: tuple[str, ...] = tuple(
    kind.model_fields["event"].default for kind in get_args(get_args(Event)[0])
)
EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))


def private_fields(event: Event) -> frozenset[str]:
    """Return the names of the event's fields that may identify a person."""
    return frozenset(
        name
        for name, field in type(event).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("private")
    )


def equal_except_private(one: Event, other: Event) -> bool:
    """Return whether two events are equal, apart from their private fields."""
    private = set(private_fields(one))
    return one.model_dump(exclude=private) == other.model_dump(exclude=private)
