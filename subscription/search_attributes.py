"""Search attribute names and their values for a state."""

from collections.abc import Mapping
from datetime import datetime

from subscription.business_calendar import start_of
from subscription.deadlines import next_change
from subscription.state import State, Subscription

KEYWORDS = ("SubscriptionState", "Access", "Plan", "Term", "AccountName", "CustomerId")
DATETIMES = ("NextDeadline", "TrialEndsAt", "ContractEndsAt")
NEEDS_ATTENTION_NAME = "NeedsAttention"
"""Set while an operator must intervene. It is not part of the state."""


def search_attribute_values(state: Subscription) -> Mapping[str, str | datetime | None]:
    """Return all attributes with their values; None if unset. Erasure removes all personal data (R31)."""
    return dict.fromkeys((*KEYWORDS, *DATETIMES)) | _keywords(state) | _datetimes(state)


def _keywords(state: Subscription) -> dict[str, str | None]:
    if state.state in (State.PROVISIONING, State.REJECTED, State.ERASED):
        return {"SubscriptionState": state.state.value}
    return {
        "SubscriptionState": state.state.value,
        "Access": state.access.value,
        "Plan": state.plan,
        "Term": state.contract.term.value if state.contract else None,
        "AccountName": state.account.name if state.account else None,
        "CustomerId": state.customer_id,
    }


def _datetimes(state: Subscription) -> dict[str, datetime | None]:
    if not state.state.accepts_commands:
        return {}
    change = next_change(state)
    return {
        "NextDeadline": change.at if change else None,
        "TrialEndsAt": state.trial_ends_at,
        "ContractEndsAt": start_of(state.contract.end_day) if state.contract else None,
    }
