"""Search attribute updates for a subscription's state."""

from typing import Any

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

with workflow.unsafe.imports_passed_through():
    from adapters.temporal.search_attributes import _SHOWN, NEEDS_ATTENTION, REGISTRY
    from subscription.search_attributes import ATTENTION, visible
    from subscription.state import Subscription


def changes(present: TypedSearchAttributes, state: Subscription) -> list[SearchAttributeUpdate[Any]]:
    """What must be upserted so that lists show this state; empty when they do."""
    values = visible(state)
    return [_update(key, values[key.name]) for key in _SHOWN if present.get(key) != values[key.name]]


def all_of(present: TypedSearchAttributes, state: Subscription) -> TypedSearchAttributes:
    """Every attribute of this state, and whether somebody must look."""
    values = {**visible(state), ATTENTION: present.get(NEEDS_ATTENTION)}
    pairs = [SearchAttributePair(key, values[key.name]) for key in REGISTRY if values[key.name] is not None]
    return TypedSearchAttributes(pairs)


def _update(key: SearchAttributeKey[Any], value: object) -> SearchAttributeUpdate[Any]:
    return key.value_unset() if value is None else key.value_set(value)
