"""A subscription in a list, and the columns that it is read from."""

from typing import Literal

from subscription.business_calendar import Day, Instant
from subscription.contract import ContractTerm
from subscription.deadlines import Deadline, DeadlineKind
from subscription.model import Frozen
from subscription.state import Access, State


class SubscriptionSummary(Frozen):
    """A subscription in a list."""

    subscription_id: str
    customer_id: str
    account_name: str | None
    """The group or domain name, without the administrator's ID; None after erasure."""
    state: State
    access: Access
    plan: str
    members: int
    term: ContractTerm | None
    trial_ends_at: Instant
    contract_to: Day | None
    reservation: Literal["SWITCH_TO_PAID", "CANCELLATION"] | None
    reservation_date: Day | None
    next_deadline_at: Instant | None
    next_deadline: DeadlineKind | None

    @property
    def deadline(self) -> Deadline | None:
        if self.next_deadline_at is None or self.next_deadline is None:
            return None
        return Deadline(at=self.next_deadline_at, what=self.next_deadline)


ACCOUNT_NAME = "(snapshot -> 'account' ->> 'name')"
"""SQL expression for the account name."""

SUMMARY_COLUMNS = ", ".join(
    f"{ACCOUNT_NAME} AS account_name" if name == "account_name" else name
    for name in SubscriptionSummary.model_fields
)
"""Columns of `subscriptions` that a `SubscriptionSummary` is read from."""
