"""Names that workflows use: activities, handlers and search attributes exist with exactly these names."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.activity_types import ACTIVITY_TYPES
from support.service_env import ServiceEnv, open_service_env
from temporalio import activity, workflow
from temporalio.client import Client

from adapters.temporal.search_attributes import (
    REGISTRY,
    missing_by_query,
    missing_search_attributes,
    register_search_attributes,
)
from dev_stack.stack import EmbeddedStack
from subscription.commands import COMMANDS
from workflows import activity_stubs
from workflows.subscription import SubscriptionWorkflow

SEARCH_ATTRIBUTES = {
    "SubscriptionState": "KEYWORD",
    "Access": "KEYWORD",
    "Plan": "KEYWORD",
    "Term": "KEYWORD",
    "AccountName": "KEYWORD",
    "CustomerId": "KEYWORD",
    "NextDeadline": "DATETIME",
    "TrialEndsAt": "DATETIME",
    "ContractEndsAt": "DATETIME",
    "NeedsAttention": "BOOL",
}


Definitions = dict[str, Any]


@pytest.fixture(scope="module")
async def registered(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[Definitions]:
    """Return the activities of a worker by name."""
    async with open_service_env(stack, temporal, works=False) as service_env, service_env.worker() as worker:
        functions = worker.config(active_config=True)["activities"]
        definitions = [activity._Definition.must_from_callable(function) for function in functions]
        yield {definition.name or "": definition for definition in definitions}


def test_worker_registers_exactly_the_activity_stubs(registered: Definitions) -> None:
    assert {*registered} == {*ACTIVITY_TYPES}


@pytest.mark.parametrize("name", ACTIVITY_TYPES)
def test_activity_signature_equals_its_stub(registered: Definitions, name: str) -> None:
    definition, stub = (
        registered[name],
        activity._Definition.must_from_callable(getattr(activity_stubs, name)),
    )
    assert stub.name == name
    assert (definition.arg_types, definition.ret_type) == (stub.arg_types, stub.ret_type)


def test_every_command_is_update_with_validator_and_signal() -> None:
    definition = workflow._Definition.must_from_class(SubscriptionWorkflow)
    assert {name for name in definition.updates if name} == {*COMMANDS, "request", "settle"}
    assert {name for name in definition.signals if name} == {*COMMANDS, "needs_attention"}
    assert None in definition.signals, "there is a handler for unknown signals"
    assert None in definition.updates, "and one for updates"
    assert {*definition.queries} == {
        "status",
        "timeline",
        "upcoming",
        "quote_cancellation",
        "snapshot",
        "price_book",
    }
    for name, update in definition.updates.items():
        assert update.validator is not None, name
    handlers: list[Any] = [*definition.updates.values(), *definition.signals.values()]
    handlers += definition.queries.values()
    assert [handler.name for handler in handlers if not handler.description] == []


def test_search_attributes_match_public_interface() -> None:
    assert {key.name: key.indexed_value_type.name for key in REGISTRY} == SEARCH_ATTRIBUTES


async def test_search_attribute_registration_is_idempotent(temporal: Client) -> None:
    """Every search attribute is registered, and a second registration changes nothing."""
    assert await missing_search_attributes(temporal) == []
    assert await register_search_attributes(temporal) == []
    # As on Temporal Cloud, where no client may list them; the system namespace has none of the service's.
    assert await missing_by_query(temporal) == []
    elsewhere = await Client.connect(temporal.service_client.config.target_host, namespace="temporal-system")
    assert await missing_by_query(elsewhere) == [*SEARCH_ATTRIBUTES]


async def test_only_registered_search_attributes_are_set(service_env: ServiceEnv) -> None:
    subscription = await service_env.paid("2027-01-10 09:00")
    description = await subscription.handle.describe()
    present = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert {*present} <= {*SEARCH_ATTRIBUTES} | {"BuildIds", "TemporalReportedProblems"}
    assert present["SubscriptionState"] == "ACTIVE"
    assert present["Access"] == "FULL"
    assert (present["Plan"], present["Term"]) == ("basic", "ANNUAL")
    assert present["AccountName"] == subscription.request["account"]["group"]
    assert present["CustomerId"] == subscription.request["customer_id"]
    listed = service_env.temporal.list_workflows(
        f"CustomerId = '{subscription.request['customer_id']}' AND ExecutionStatus = 'Running'"
    )
    assert [found.id async for found in listed] == [subscription.workflow_id]
