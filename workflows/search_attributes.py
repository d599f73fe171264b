"""The search attributes of a subscription: one registry, from which they are registered, set and unset."""

from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate, TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from subscription.calendar import start_of
    from subscription.deadlines import next_deadline
    from subscription.state import State, Subscription

STATE = SearchAttributeKey.for_keyword("SubscriptionState")
ACCESS = SearchAttributeKey.for_keyword("Access")
PLAN = SearchAttributeKey.for_keyword("Plan")
TERM = SearchAttributeKey.for_keyword("Term")
ACCOUNT_NAME = SearchAttributeKey.for_keyword("AccountName")
CUSTOMER_ID = SearchAttributeKey.for_keyword("CustomerId")
NEXT_DEADLINE = SearchAttributeKey.for_datetime("NextDeadline")
TRIAL_ENDS_AT = SearchAttributeKey.for_datetime("TrialEndsAt")
CONTRACT_ENDS_AT = SearchAttributeKey.for_datetime("ContractEndsAt")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")

_KEYWORDS = (STATE, ACCESS, PLAN, TERM, ACCOUNT_NAME, CUSTOMER_ID)
_DATETIMES = (NEXT_DEADLINE, TRIAL_ENDS_AT, CONTRACT_ENDS_AT)

REGISTRY = (*_KEYWORDS, *_DATETIMES, NEEDS_ATTENTION)


def changes(present: TypedSearchAttributes, state: Subscription) -> list[SearchAttributeUpdate[Any]]:
    """What must be upserted so that lists show this state; empty when they do."""
    keywords = dict.fromkeys(_KEYWORDS, None) | _keywords(state)
    datetimes = dict.fromkeys(_DATETIMES, None) | _datetimes(state)
    updates: list[SearchAttributeUpdate[Any]] = [
        _update(key, keywords[key]) for key in _KEYWORDS if present.get(key) != keywords[key]
    ]
    updates += [_update(key, datetimes[key]) for key in _DATETIMES if present.get(key) != datetimes[key]]
    return updates


def _keywords(state: Subscription) -> dict[SearchAttributeKey[str], str | None]:
    """What an erased subscription still shows names nobody (R31)."""
    if state.state in (State.PROVISIONING, State.REJECTED, State.ERASED):
        return {STATE: state.state.value}
    return {
        STATE: state.state.value,
        ACCESS: state.access.value,
        PLAN: state.plan,
        TERM: state.contract.term.value if state.contract else None,
        ACCOUNT_NAME: state.account.name if state.account else None,
        CUSTOMER_ID: state.customer_id,
    }


def _datetimes(state: Subscription) -> dict[SearchAttributeKey[datetime], datetime | None]:
    if not state.state.commandable:
        return {}
    deadline = next_deadline(state)
    return {
        NEXT_DEADLINE: deadline.at if deadline else None,
        TRIAL_ENDS_AT: state.trial_ends_at,
        CONTRACT_ENDS_AT: start_of(state.contract.end_day) if state.contract else None,
    }


def _update(key: SearchAttributeKey[Any], value: object) -> SearchAttributeUpdate[Any]:
    return key.value_unset() if value is None else key.value_set(value)
