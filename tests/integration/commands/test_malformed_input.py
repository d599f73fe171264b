"""Malformed input through the real servers: callers get a code, no task fails, subscriptions continue."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from fuzz.mutations import Mutator
from support.malformed_payloads import payload
from support.polling import PATIENCE_SECONDS, gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver, failed_tasks, has_closed
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from subscription.commands import COMMANDS
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.refusals import Refusal, RefusalCode, RefusalError
from workflows.lifecycle import MOST_NOTED_A_DAY

START = "2027-01-10 09:00"
AT = "2027-01-10T09:00:00+09:00"
MEGABYTE = 2**20
SENT_EACH_WAY = SIZES.hostile_inputs // 100

IN_ORDER: Mapping[str, Mapping[str, Any]] = {
    "switch_to_paid": {"date": "2027-01-20", "term": "ANNUAL", "plan": "premium", "members": 20, "at": AT},
    "change_renewal_option": {"term": "ANNUAL", "at": AT},
    "upgrade": {"members": 20, "agreed_terms": [{"id": "service", "version": "2026-01"}], "at": AT},
    "cancel": {"date": "2027-01-20", "confirmation": "admin@nobody", "by": "operator", "at": AT},
    "withdraw_reservation": {"by": "operator", "at": AT},
    "rename_account": {"group": "other", "by": "operator", "at": AT},
    "check_domain": {"at": AT},
}


async def is_well(subscription: SubscriptionDriver) -> None:
    """Check that it responds, and that none of its tasks has failed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await subscription.client.settle(subscription.id)
        assert (await subscription.status()).subscription_id == subscription.id
    assert await subscription.failed_tasks() == []


def corrupted_command(seed: int) -> tuple[str, Any]:
    """Return a command and a corrupted payload for it."""
    mutator = Mutator(seed)
    name = mutator.choice_of([*COMMANDS])
    return name, payload(mutator.bytes_of(mutator.mutated(IN_ORDER[name])))


async def outcome_of_update(subscription: SubscriptionDriver, name: str, argument: Any) -> str:
    try:
        await subscription.handle.execute_update(name, argument)
    except WorkflowUpdateFailedError as failure:
        return str(failure.cause.type if isinstance(failure.cause, ApplicationError) else failure.cause)
    return "accepted"


async def test_malformed_updates_get_a_code(service_env: ServiceEnv) -> None:
    subscriptions = [await service_env.requested(START) for _ in range(5)]
    codes: Counter[str] = Counter()

    async def one(number: int, subscription: SubscriptionDriver) -> None:
        for seed in range(number, SENT_EACH_WAY, len(subscriptions)):
            codes[await outcome_of_update(subscription, *corrupted_command(seed))] += 1

    await gather_all(one(number, subscription) for number, subscription in enumerate(subscriptions))
    print(dict(codes.most_common()))
    assert {*codes} - {"accepted"} <= {*RefusalCode}
    assert codes[RefusalCode.INVALID_ARGUMENT] > SENT_EACH_WAY / 2
    await gather_all(is_well(subscription) for subscription in subscriptions)


async def test_malformed_signals_are_recorded_in_timeline(service_env: ServiceEnv) -> None:
    subscriptions = [await service_env.requested(START) for _ in range(5)]

    async def one(number: int, subscription: SubscriptionDriver) -> None:
        seeds = range(number, SENT_EACH_WAY, len(subscriptions))
        for seed in seeds:
            name, argument = corrupted_command(seed)
            await subscription.handle.signal(name, argument)
        await is_well(subscription)
        # A check of an unverified domain is accepted, and has no events. The refusals of a day are limited.
        events = Counter(await subscription.events())
        assert events["REFUSED"] >= min(len(seeds) * 3 / 4, MOST_NOTED_A_DAY)

    await gather_all(one(number, subscription) for number, subscription in enumerate(subscriptions))


async def test_malformed_requests_are_refused_or_start_subscription(service_env: ServiceEnv) -> None:
    """Hundreds of malformed requests: each is refused or starts a subscription."""
    codes: Counter[str] = Counter()

    async def one(seed: int) -> None:
        mutator = Mutator(seed)
        body = mutator.mutated(service_env.request_body(simulated_at=AT))
        result = await service_env.request_outcome(body) if isinstance(body, dict) else None
        handle = await service_env.temporal.start_workflow(
            "SubscriptionWorkflow",
            payload(mutator.bytes_of(body)),
            id=WORKFLOW_ID_PREFIX + unique_name("spoiled"),
            task_queue=service_env.task_queue,
        )
        by_hand = service_env.temporal.get_workflow_handle(handle.id)
        began = await wait_for(
            f"{handle.id} is judged", lambda: _result_of(service_env, handle.id), seconds=60
        )
        if began == "REJECTED":
            await has_closed(by_hand)
        assert failed_tasks([event async for event in by_hand.fetch_history_events()]) == []
        codes[result.code if isinstance(result, Refusal) else "accepted"] += 1
        codes[f"by hand: {began}"] += 1

    gate = asyncio.Semaphore(20)

    async def in_turn(seed: int) -> None:
        async with gate:
            await one(seed)

    requests = SENT_EACH_WAY // 4
    await gather_all(in_turn(seed) for seed in range(requests))
    print(dict(codes.most_common()))
    assert codes[RefusalCode.REQUEST_REFUSED] > requests / 2
    assert codes["by hand: REJECTED"] > requests / 2


async def _result_of(service_env: ServiceEnv, workflow_id: str) -> str:
    description = await service_env.temporal.get_workflow_handle(workflow_id).describe()
    if description.status and description.status.name == "COMPLETED":
        return "REJECTED"
    recorded = await service_env.owner.fetchval(
        "SELECT state FROM subscriptions WHERE subscription_id = $1",
        workflow_id.removeprefix(WORKFLOW_ID_PREFIX),
    )
    return "began" if recorded else ""


# -- refusals by the client --------------------------------------------------------------------------


async def refusal(call: Any) -> Refusal:
    with pytest.raises(RefusalError) as refused:
        await call
    return refused.value.refused


@pytest.mark.parametrize("megabytes", [1, 3, 5])
async def test_input_too_large_for_temporal_is_refused_with_code(
    service_env: ServiceEnv, megabytes: int
) -> None:
    """Temporal's limits are 2 MB per payload and 4 MB per message, and it has no error code for them."""
    subscription = await service_env.requested(START)
    much = "x" * megabytes * MEGABYTE
    for name, argument in (
        ("cancel", {"date": "2027-01-20", "confirmation": much}),
        ("cancel", {much: 1}),
        ("rename_account", {"domain": f"{much}.kr"}),
        ("withdraw_reservation", {"id": much}),
        ("withdraw_reservation", {"by": much}),
        ("upgrade", {"members": 20, "agreed_terms": [{"id": much, "version": "1"}]}),
    ):
        refused = await refusal(subscription.client.command(subscription.id, name, argument))
        assert refused.code == RefusalCode.INVALID_ARGUMENT
        assert len(refused.model_dump_json()) < 5_000
    result = await service_env.request_outcome(service_env.request_body(company_name=much))
    assert isinstance(result, Refusal)
    assert [problem.code for problem in result.problems] == [RefusalCode.INVALID_COMPANY_NAME]
    await is_well(subscription)


async def test_oversized_input_sent_past_the_client_is_harmless(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    much = {"date": "2027-01-20", "confirmation": "x" * 5 * MEGABYTE}
    with pytest.raises(RPCError) as of_the_update:
        await subscription.handle.execute_update("cancel", much)
    with pytest.raises(RPCError) as of_the_signal:
        await subscription.handle.signal("cancel", {**much, "confirmation": "x" * 3 * MEGABYTE})
    assert of_the_update.value.status is RPCStatusCode.RESOURCE_EXHAUSTED
    assert of_the_signal.value.status is RPCStatusCode.INVALID_ARGUMENT
    assert await outcome_of_update(subscription, "cancel", {**much, "confirmation": "x" * MEGABYTE}) == (
        RefusalCode.INVALID_ARGUMENT
    )
    await is_well(subscription)


UNKEEPABLE = ("a\0b", "\ud800", "x" * 101, "x" * 3_000, "")


@pytest.mark.parametrize("subscription_id", UNKEEPABLE)
async def test_impossible_id_is_not_found(service_env: ServiceEnv, subscription_id: str) -> None:
    client = service_env.client
    for call in (
        client.status(subscription_id),
        client.timeline(subscription_id),
        client.ledger(subscription_id),
        client.upcoming(subscription_id),
        client.command(subscription_id, "check_domain", {}),
        client.settle(subscription_id),
    ):
        assert (await refusal(call)).code == RefusalCode.SUBSCRIPTION_NOT_FOUND


async def test_id_that_cannot_be_stored_is_not_found(service_env: ServiceEnv) -> None:
    client = service_env.client
    assert (await refusal(client.invoice("a\0b"))).code == RefusalCode.INVOICE_NOT_FOUND
    assert (await refusal(client.notice(2**63))).code == RefusalCode.NOTICE_NOT_FOUND
    assert (await refusal(client.reconciliation("\ud800"))).code == RefusalCode.RECONCILIATION_NOT_FOUND
    assert await client.list(customer_id="a\0b") == []
    assert await client.list(after="\ud800") == []
    assert await client.invoices(customer_id="'; DROP TABLE invoices; --") == []


@pytest.mark.parametrize("subscription_id", ["a\0b", "line\nbreak", "\u202eevil", "x" * 101])
async def test_workflow_id_that_cannot_be_stored_is_rejected(
    service_env: ServiceEnv, subscription_id: str
) -> None:
    handle = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        service_env.request_body(),
        id=WORKFLOW_ID_PREFIX + subscription_id,
        task_queue=service_env.task_queue,
    )
    handle = service_env.temporal.get_workflow_handle(handle.id)
    await has_closed(handle)
    result = await handle.result()
    assert (result["state"], result["code"]) == ("REJECTED", RefusalCode.INVALID_ID)


@pytest.mark.parametrize("begins", ["soon", "0001-01-01T00:00:00+14:00", "2027-01-01", 5, [], "a\0b"])
async def test_r9_invalid_start_time_is_reported_with_other_problems(
    service_env: ServiceEnv, begins: Any
) -> None:
    result = await service_env.request_outcome(service_env.request_body(simulated_at=begins, members=0))
    assert isinstance(result, Refusal)
    assert {problem.field for problem in result.problems} == {"simulated_at", "members"}


async def test_far_future_time_is_refused(service_env: ServiceEnv) -> None:
    """A task has two seconds, and 7,000 years are 84,000 months."""
    subscription = await service_env.paid(START, "MONTHLY")
    far = {"date": "2027-01-20", "at": "9000-01-01T00:00:00+09:00"}
    with pytest.raises(WorkflowQueryFailedError, match="INVALID_INSTANT"):
        await subscription.handle.query("quote_cancellation", far)
    refused = await subscription.expect_refusal("cancel", date="2027-01-20", at="9000-01-01 00:00")
    assert (refused.code, refused.field) == (RefusalCode.INVALID_INSTANT, "at")
    await is_well(subscription)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 2**63),
        ("amount", -(10**30)),
        ("amount", 10.0),
        ("amount", True),
        ("subscription_id", "a\0b"),
        ("key", "a\0b"),
        ("key", "x" * 3 * MEGABYTE),
        ("reference", "<b>"),
    ],
)
async def test_adjustment_beyond_ledger_range_is_refused(
    service_env: ServiceEnv, field: str, value: Any
) -> None:
    """Otherwise an unattended workflow would retry it forever."""
    body = {
        "subscription_id": "s",
        "id": "a",
        "key": "s/SERVICE_FEE/2027-01-01",
        "amount": -100,
        "reason": "GOODWILL",
        "reference": "T-1",
    }
    refused = await refusal(service_env.client.adjust({**body, field: value}))
    assert (refused.code, refused.field) == (RefusalCode.INVALID_ARGUMENT, field)


JOBS: list[tuple[str, Any]] = [
    ("InvoicesWorkflow", {"month": "x2027-03y"}),
    ("InvoicesWorkflow", {"month": "0000-05"}),
    ("InvoicesWorkflow", {"month": "2027-03\n"}),
    ("PurgeWorkflow", {"grace_minutes": 10**12}),
    ("ReconcileWorkflow", {"grace_minutes": 10**12}),
    ("ReconcileWorkflow", {"after": "a\0b"}),
    ("ReconcileWorkflow", {"checked": 10**12}),
    ("NoticesWorkflow", {"day": "9999-12-31"}),
    ("NoticesWorkflow", {"day": "0001-01-01"}),
    ("NoticesWorkflow", {"after": "a\0b"}),
    ("AdjustmentWorkflow", {"subscription_id": "a\0b"}),
    ("AdjustmentWorkflow", [1, 2]),
]


@pytest.mark.parametrize(("job", "argument"), JOBS)
async def test_job_with_invalid_argument_fails_without_retries(
    service_env: ServiceEnv, job: str, argument: Any
) -> None:
    """A worker does not retry it forever."""
    with pytest.raises(WorkflowFailureError) as failure:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await service_env.temporal.execute_workflow(
                job, argument, id=unique_name("hostile-job"), task_queue=service_env.task_queue
            )
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.INVALID_ARGUMENT
