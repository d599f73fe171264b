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
    from adapters.temporal.search_attributes import NEEDS_ATTENTION, REGISTRY, STATE_ATTRIBUTES
    from subscription.search_attributes import NEEDS_ATTENTION_NAME, search_attribute_values
    from subscription.state import Subscription


def search_attribute_updates(
    present: TypedSearchAttributes, state: Subscription
) -> list[SearchAttributeUpdate[Any]]:
    """Return the search attribute updates that this state requires; empty if nothing changed."""
    values = search_attribute_values(state)
    return [
        _update(key, values[key.name]) for key in STATE_ATTRIBUTES if present.get(key) != values[key.name]
    ]


def all_search_attributes(present: TypedSearchAttributes, state: Subscription) -> TypedSearchAttributes:
    """Return all search attributes of this state, and the present value of `NeedsAttention`."""
    values = {**search_attribute_values(state), NEEDS_ATTENTION_NAME: present.get(NEEDS_ATTENTION)}
    pairs = [SearchAttributePair(key, values[key.name]) for key in REGISTRY if values[key.name] is not None]
    return TypedSearchAttributes(pairs)


def _update(key: SearchAttributeKey[Any], value: object) -> SearchAttributeUpdate[Any]:
    return key.value_unset() if value is None else key.value_set(value)
