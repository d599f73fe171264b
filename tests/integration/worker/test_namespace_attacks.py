"""Attempts by a client of Temporal's namespace to forge the input of a run, or to call activities."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from support.activity_types import ACTIVITY_TYPES
from support.polling import gather_all, wait_for
from support.reconcile_job import codes
from support.service_env import ServiceEnv, kst, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio import activity, workflow
from temporalio.client import ActivityFailureError, Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.interceptors.caller_verification import NOT_THE_SERVICE
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.worker_keys import worker_signer
from dev_stack.stack import EmbeddedStack
from subscription.activity_contracts import CALLERS, DeleteHistoriesInput, EraseInput, Transition
from subscription.apply import apply_all
from subscription.catalogue import PriceBook
from subscription.event_replay import cancellation_events
from subscription.events import Erased
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.invoice import IssueInvoices
from subscription.message_authentication import MessageSigner, UnknownSigningKeyError
from subscription.notice_outbox import QueueNoticesInput
from subscription.reconciliation import FinishReconciliation
from subscription.retention import PurgeRowsInput
from subscription.state import Subscription
from workflows.registry import WORKFLOWS
from workflows.run_input import ResumeInput

PAID = "2027-01-10 09:00"
LOST_AFTER = timedelta(seconds=10)
"""The server dispatches a task again that its poller did not receive. A refusal, however, is not retried."""


@workflow.defn(name="SubscriptionWorkflow")
class Impostor:
    """The attacker's workflow with the genuine type name, which calls an activity of the service."""

    @workflow.run
    async def run(self, call: dict[str, Any]) -> Any:
        return await workflow.execute_activity(
            call["name"],
            call["argument"],
            task_queue=call["queue"],
            start_to_close_timeout=LOST_AFTER,
        )


@workflow.defn(name="Stranger")
class Stranger(Impostor):
    @workflow.run
    async def run(self, call: dict[str, Any]) -> Any:
        return await Impostor.run(self, call)


@workflow.defn(name="SubscriptionWorkflow")
class Failing:
    """A workflow that fails at once, so that the server starts its next run."""

    @workflow.run
    async def run(self, resumed: dict[str, Any]) -> None:
        raise ApplicationError("on to the next run")


@pytest.fixture(scope="module")
async def attackers_queue(temporal: Client) -> AsyncIterator[str]:
    """Run the attacker's worker; yield its task queue."""
    queue = unique_name("attacker")
    async with Worker(
        temporal,
        task_queue=queue,
        workflows=[Impostor, Stranger],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="attacker",
    ):
        yield queue


@pytest.fixture(scope="module")
async def running(service_env: ServiceEnv) -> SubscriptionDriver:
    return await service_env.paid(PAID)


@pytest.fixture(scope="module")
async def terminated(service_env: ServiceEnv) -> SubscriptionDriver:
    """Return a subscription whose workflow ID an attacker can take, again and again."""
    subscription = await service_env.paid(PAID)
    await subscription.handle.terminate(reason="to take its id")
    return subscription


async def arguments(service_env: ServiceEnv, subscription: SubscriptionDriver) -> dict[str, Any]:
    """Return valid arguments for each of these activities, as the service itself could send them."""
    state, at = await state_of(service_env, subscription), kst("2027-01-11 09:00")
    canceled, erased = cancellation_events(state, at, await load_price_book(service_env.pool))
    assert isinstance(erased, Erased)
    after = apply_all(state, (canceled, erased))
    return {
        "erase_subscription": EraseInput(
            subscription_id=subscription.id, sequence=after.sequence, event=erased, state=after
        ),
        "record_transition": Transition(
            subscription_id=subscription.id,
            first_sequence=state.sequence + 1,
            events=(canceled,),
            state=apply_all(state, (canceled,)),
            revision=99,
        ),
        "delete_histories": DeleteHistoriesInput(run_ids=(), erased_at=at),
        "queue_notices": QueueNoticesInput(day=at.date()),
        "purge_rows": PurgeRowsInput(),
        "issue_invoices": IssueInvoices(month=date(2027, 1, 1), issued_on=date(2027, 2, 3)),
        "finish_reconciliation": FinishReconciliation(run="forged", checked=7),
    }


async def untouched(service_env: ServiceEnv, subscription: SubscriptionDriver, before: Subscription) -> None:
    assert await subscription.client.certificates(subscription.id) == []
    assert await state_of(service_env, subscription) == before


async def state_of(service_env: ServiceEnv, subscription: SubscriptionDriver) -> Subscription:
    return Subscription.model_validate_json(
        await service_env.owner.fetchval(
            "SELECT snapshot FROM subscriptions WHERE subscription_id = $1", subscription.id
        )
    )


# Every call under the genuine type and ID, and one call under each other combination.
@pytest.mark.parametrize(
    ("kind", "under_its_id", "call"),
    [
        ("SubscriptionWorkflow", True, "erase_subscription"),
        ("SubscriptionWorkflow", True, "record_transition"),
        ("SubscriptionWorkflow", True, "delete_histories"),
        ("SubscriptionWorkflow", False, "record_transition"),
        ("Stranger", True, "delete_histories"),
        ("Stranger", False, "erase_subscription"),
    ],
)
async def test_activity_call_of_attackers_workflow_is_refused(
    service_env: ServiceEnv,
    running: SubscriptionDriver,
    terminated: SubscriptionDriver,
    attackers_queue: str,
    kind: str,
    call: str,
    under_its_id: bool,
) -> None:
    subscription = terminated if under_its_id else running
    before = await state_of(service_env, subscription)
    argument = (await arguments(service_env, subscription))[call]
    with pytest.raises(WorkflowFailureError) as failure:
        await service_env.temporal.execute_workflow(
            kind,
            {"name": call, "argument": argument, "queue": service_env.task_queue},
            id=subscription.workflow_id if under_its_id else unique_name("attack"),
            task_queue=attackers_queue,
        )
    assert isinstance(failure.value.cause, ActivityError)
    assert isinstance(failure.value.cause.cause, ApplicationError)
    assert failure.value.cause.cause.type == NOT_THE_SERVICE
    await untouched(service_env, subscription, before)


CALLS = [
    *("erase_subscription", "record_transition", "delete_histories", "queue_notices"),
    *("purge_rows", "issue_invoices", "finish_reconciliation"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_activity_call_without_workflow_is_refused(
    service_env: ServiceEnv, running: SubscriptionDriver, call: str
) -> None:
    before = await state_of(service_env, running)
    argument = (await arguments(service_env, running))[call]
    with pytest.raises(ActivityFailureError) as failure:
        await service_env.temporal.execute_activity(
            call,
            argument,
            id=unique_name("standalone"),
            task_queue=service_env.task_queue,
            start_to_close_timeout=LOST_AFTER,
        )
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == NOT_THE_SERVICE
    await untouched(service_env, running, before)


def test_attack_cases_cover_every_activity() -> None:
    assert CALLERS.keys() == ACTIVITY_TYPES.keys()
    kinds = {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}
    assert {caller for callers in CALLERS.values() for caller in callers} == kinds


def forged(state: Subscription, book: PriceBook) -> ResumeInput:
    """Return the state of the subscription at a thousand times its price, with a clock one year ahead."""
    [rate] = state.rates
    dear = rate.model_copy(update={"list_price": 9_990_000, "annual_price": 9_990_000})
    return ResumeInput(
        state=state.model_copy(update={"rates": (dear,)}),
        book=book,
        clock_offset=timedelta(days=400),
        run_ids=(),
        timeline=(),
        request_fingerprint="",
    )


@pytest.mark.parametrize("call", ["record_transition", "delete_histories"])
async def test_reconcile_writes_nothing_from_forged_history(
    isolated_env: ServiceEnv, attackers_queue: str, call: str
) -> None:
    subscription = await isolated_env.paid(PAID)
    before = await state_of(isolated_env, subscription)
    argument = (await arguments(isolated_env, subscription))[call]
    await subscription.handle.terminate(reason="to take its id")
    async with accomplices(isolated_env.temporal) as helping:
        await isolated_env.temporal.execute_workflow(
            "SubscriptionWorkflow",
            {"name": call, "argument": argument, "queue": helping},
            id=subscription.workflow_id,
            task_queue=attackers_queue,
        )
    found = await codes(isolated_env)
    assert found == {subscription.id: [("WORKFLOW_MISSING", True)]}
    await untouched(isolated_env, subscription, before)
    assert (await subscription.status()).state == before.state


@asynccontextmanager
async def accomplices(temporal: Client) -> AsyncIterator[str]:
    """Run a worker whose activities only report success; yield its task queue."""

    @activity.defn(name="record_transition")
    async def record_transition(_: Any) -> Any:
        return {"outcome": "RECORDED", "events": []}

    @activity.defn(name="delete_histories")
    async def delete_histories(_: Any) -> Any:
        return {"runs": 1}

    queue = unique_name("accomplices")
    activities = [record_transition, delete_histories]
    async with Worker(temporal, task_queue=queue, activities=activities, build_id="attacker"):
        yield queue


@dataclass
class ForgedRun:
    """A workflow with a forged state under this ID: that of a subscription, or of none."""

    workflow_id: str
    resumed: ResumeInput
    options: dict[str, Any]


async def test_forged_state_is_refused_in_a_later_run(stack: EmbeddedStack, temporal: Client) -> None:
    """The attacker's own worker fails the first run, so that the next run has a predecessor."""
    ways: list[dict[str, Any]] = [
        {"retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=100))},
        {"cron_schedule": "@every 1s"},
    ]
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscriptions = await gather_all(service_env.paid(PAID) for _ in ways)
        before = [await state_of(service_env, subscription) for subscription in subscriptions]
        book = await load_price_book(service_env.pool)
        attacks = []
        for subscription, state, options in zip(subscriptions, before, ways, strict=True):
            await subscription.handle.terminate(reason="to take its id")
            nobody = state.model_copy(update={"subscription_id": unique_name("nobody")})
            attacks += [
                ForgedRun(WORKFLOW_ID_PREFIX + each.subscription_id, forged(each, book), options)
                for each in (state, nobody)
            ]
        async with Worker(
            temporal,
            task_queue=service_env.task_queue,
            workflows=[Failing],
            workflow_runner=UnsandboxedWorkflowRunner(),
            build_id="attacker",
        ):
            await gather_all(fail_first_run(service_env, attack) for attack in attacks)
        handles = [temporal.get_workflow_handle(attack.workflow_id) for attack in attacks]
        runs = [(await handle.describe()).run_id for handle in handles]
        async with service_env.worker():
            await gather_all(
                is_worked_on(handle, run_id) for handle, run_id in zip(handles, runs, strict=True)
            )
        assert await service_env.owner.fetchval("SELECT max(amount) FROM ledger_lines") is None
        assert [await state_of(service_env, subscription) for subscription in subscriptions] == before
        assert await service_env.owner.fetchval("SELECT count(*) FROM subscriptions") == len(subscriptions)


async def fail_first_run(service_env: ServiceEnv, attack: ForgedRun) -> None:
    first = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        attack.resumed,
        id=attack.workflow_id,
        task_queue=service_env.task_queue,
        **attack.options,
    )
    handle = service_env.temporal.get_workflow_handle(attack.workflow_id)

    async def has_another_run() -> bool:
        return (await handle.describe()).run_id != first.result_run_id

    await wait_for("another run has followed", has_another_run)


async def is_worked_on(handle: WorkflowHandle[Any, Any], run_id: str) -> None:
    """Wait until a worker has executed a task of this run, and end the workflow."""

    async def has_been_worked_on() -> bool:
        described = await handle.describe()
        return described.run_id != run_id or described.history_length > 5

    await wait_for("a worker has taken it up", has_been_worked_on)
    with suppress(RPCError):  # a refused workflow has already closed
        await handle.terminate(reason="the attack is over")


async def test_signature_covers_workflow_run_and_argument() -> None:
    signer = MessageSigner((b"new", b"old"))
    signature = signer.of_run("subscription-1", "run", [b"state"])
    assert signer.is_of_run(signature, "subscription-1", "run", [b"state"])
    for other in (
        ("subscription-2", "run", [b"state"]),
        ("subscription-1", "another run", [b"state"]),
        ("subscription-1", "run", [b"another state"]),
        ("subscription-1", "run", [b"st", b"ate"]),
    ):
        assert not signer.is_of_run(signature, *other)
    assert not signer.is_of_call(signature, "subscription-1", "run", [b"state"])
    assert not signer.is_of_run("", "subscription-1", "run", [b"state"])


async def test_replaced_key_verifies_and_unknown_key_is_waited_for() -> None:
    old = MessageSigner((b"old",)).of_call("subscription-1", "erase_subscription", [b"{}"])
    assert MessageSigner((b"new", b"old")).is_of_call(old, "subscription-1", "erase_subscription", [b"{}"])
    with pytest.raises(UnknownSigningKeyError):
        MessageSigner((b"new",)).is_of_call(old, "subscription-1", "erase_subscription", [b"{}"])


async def test_runs_and_calls_continue_with_a_new_key(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid(PAID)
            await subscription.is_at_rest_in_run(2)
        await service_env.owner.execute("INSERT INTO worker_keys DEFAULT VALUES")
        rotated = dataclasses.replace(service_env, signer=await worker_signer(service_env.pool))
        assert rotated.signer.keys[1:] == service_env.signer.keys
        async with rotated.worker():
            await subscription.send("rename_account", at="2027-01-11 09:00", group=unique_name("rotated"))
            await subscription.advance_to("2027-02-02 09:00")
        assert "SERVICE_FEES_POSTED" in await subscription.events()
        assert await subscription.failed_tasks() == []
