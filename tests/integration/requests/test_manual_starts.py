"""Workflows that an operator starts manually with any input: invalid ones end with the reason."""

from functools import partial
from typing import Any

import pytest
from support.data_search import found_in_database
from support.malformed_payloads import BINARY, DEEP, NOT_JSON, payload
from support.polling import run_cases, wait_for
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver, failed_tasks, has_closed
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import RawValue

from starter.requests import subscription_id_for
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.refusals import RefusalCode

# All payloads are decoded as those of signals, which test_signals.py sends in more variants.
NONSENSE: dict[str, list[Any]] = {
    "null": [None],
    "a list": [[1, 2, 3]],
    "an empty object": [{}],
    "unknown fields": [{"colour": "red", "request_id": None}],
    "wrong types": [{"request_id": 5, "members": "ten", "account": "acme", "agreed_terms": {}}],
    "no argument": [],
    "an incomplete run input": [{"stage": "RESUME"}],
    "half a stage of an end": [{"stage": "CLEANUP", "run_ids": 5}],
    "an impossible time": [{"simulated_at": "0000-99-99"}],
    "an endless time": [{"simulated_at": 1e300}],
    "a text with a null character": [{"company_name": "a\x00b", "c\x00d": 1}],
    "half of an object": [NOT_JSON],
    "binary data": [BINARY],
    "lists in lists": [DEEP],
}


async def started(
    service_env: ServiceEnv, *arguments: Any, workflow_id: str | None = None, **options: Any
) -> WorkflowHandle[Any, Any]:
    handle = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        args=arguments,
        id=workflow_id or WORKFLOW_ID_PREFIX + unique_name("by-hand"),
        task_queue=service_env.task_queue,
        **options,
    )
    # A handle of the workflow, not of its first run, which is deleted at the end.
    return service_env.temporal.get_workflow_handle(handle.id)


async def rejected(service_env: ServiceEnv, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """Return the result of a rejected workflow without failed tasks."""

    try:
        await has_closed(handle)
    finally:
        failures = failed_tasks([event async for event in handle.fetch_history_events()])
        await terminated(handle)
    assert failures == []
    result: dict[str, Any] = await handle.result()
    assert result["state"] == "REJECTED"
    return result


async def terminated(handle: WorkflowHandle[Any, Any]) -> None:
    """Terminate the workflow, so that it does not stay blocked during the other tests."""
    description = await handle.describe()
    if description.status is WorkflowExecutionStatus.RUNNING:
        await handle.terminate("a test is over")


async def test_invalid_input_is_rejected_with_problems(service_env: ServiceEnv) -> None:
    ids: list[str] = []

    async def one(arguments: list[Any]) -> None:
        handle = await started(service_env, *arguments)
        ids.append(handle.id.removeprefix(WORKFLOW_ID_PREFIX))
        result = await rejected(service_env, handle)
        assert result["code"] == RefusalCode.REQUEST_REFUSED
        fields = {problem["field"] for problem in result["problems"]}
        assert fields >= {"request_id", "region", "plan", "account"}

    await run_cases({what: one(arguments) for what, arguments in NONSENSE.items()})
    assert len(ids) == len(NONSENSE)
    assert await found_in_database(service_env, ids) == []


async def test_signals_and_updates_do_not_block_a_rejection(service_env: ServiceEnv) -> None:
    handle = await started(
        service_env,
        None,
        start_signal="cancel",
        start_signal_args=[{"date": "2027-01-01", "confirmation": "x"}],
    )
    await rejected(service_env, handle)


IDS = {
    "without the prefix": "order 66 of the operator",
    "with a quote": WORKFLOW_ID_PREFIX + "O'Brien's",
    "with a double quote": WORKFLOW_ID_PREFIX + 'the "best"',
    "long": WORKFLOW_ID_PREFIX + "long" * 100,
    "with Hangul": WORKFLOW_ID_PREFIX + "구독",
    "the prefix alone": WORKFLOW_ID_PREFIX,
}


async def test_invalid_input_under_any_workflow_id_is_rejected(service_env: ServiceEnv) -> None:
    async def one(workflow_id: str) -> None:
        await rejected(service_env, await started(service_env, {"nonsense": True}, workflow_id=workflow_id))

    await run_cases({what: one(workflow_id) for what, workflow_id in IDS.items()})


@pytest.mark.parametrize("name", ["without the prefix", "long"])
async def test_request_with_impossible_workflow_id_is_rejected(service_env: ServiceEnv, name: str) -> None:
    body = service_env.request_body()
    handle = await started(service_env, body, workflow_id=f"{IDS[name]} again")
    try:
        await rejected(service_env, handle)
    finally:
        assert await found_in_database(service_env, [body["request_id"]]) == []


async def is_recorded(service_env: ServiceEnv, subscription_id: str) -> bool:
    found = await service_env.owner.fetchval(
        "SELECT 1 FROM subscriptions WHERE subscription_id = $1", subscription_id
    )
    return found is not None


@pytest.mark.parametrize("name", ["with a quote", "with a double quote", "with Hangul"])
async def test_request_with_chosen_id_starts_a_subscription(service_env: ServiceEnv, name: str) -> None:
    body = service_env.request_body()
    handle = await started(service_env, body, workflow_id=f"{IDS[name]} again")
    subscription_id = handle.id.removeprefix(WORKFLOW_ID_PREFIX)
    try:
        await wait_for("it is recorded", partial(is_recorded, service_env, subscription_id))
        assert (await service_env.client.request(body)).subscription_id == subscription_id
        subscription = SubscriptionDriver(service_env.client, service_env.temporal, subscription_id, body)
        await subscription.send("cancel", date=f"{await subscription.today()}")
        await has_closed(handle)
    finally:
        await terminated(handle)


async def test_manual_request_with_derived_id_starts_a_subscription(
    service_env: ServiceEnv,
) -> None:
    body = service_env.request_body()
    subscription_id = subscription_id_for(body["request_id"])
    handle = await started(service_env, body, workflow_id=WORKFLOW_ID_PREFIX + subscription_id)
    subscription = SubscriptionDriver(service_env.client, service_env.temporal, subscription_id, body)
    assert (await service_env.client.request(body)).subscription_id == subscription_id
    assert await subscription.events() == ["TRIAL_STARTED"]
    assert handle.id == subscription.workflow_id


async def test_rejected_result_has_no_personal_data(service_env: ServiceEnv) -> None:
    """Values in the wrong fields, and names of unknown fields, are not stored."""
    typed = "Hong Gildong 010-9876-5432"
    raw: RawValue = payload(f'{{"company_name": 5, "{typed}": "{typed}"}}'.encode())
    handle = await started(service_env, raw)
    result = await rejected(service_env, handle)
    assert typed not in repr(result)
