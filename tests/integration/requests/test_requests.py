"""Requests: one subscription per name, one response per request ID, no remains of a refused request."""

import asyncio
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from argon2 import PasswordHasher
from support.data_search import found_in_database, found_in_workflow, is_deleted_from_workflow
from support.lock_waits import wait_for_blocked_sessions
from support.polling import gather_all, wait_for
from support.service_env import PASSWORD, ServiceEnv, kst, open_service_env, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver, has_closed, is_known
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
)
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from activities.provisioning import ProvisioningActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.subscription_repository import insert_subscription
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from starter.requests import subscription_id_for
from subscription.account import Account, AccountKind
from subscription.activity_contracts import ProvisionInput, ProvisionResult, RequestRefused
from subscription.apply import apply
from subscription.attention import ATTENTION_MEMO
from subscription.decide import start_trial
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.request import Request
from subscription.state import State, Subscription, provisioning
from subscription.timeline import RequestAnswer
from subscription.validation import parse_strict


def workflow_id_of(body: dict[str, Any]) -> str:
    return WORKFLOW_ID_PREFIX + subscription_id_for(body["request_id"])


async def test_r9_refusal_covers_earlier_unstarted_requests(
    service_env: ServiceEnv,
) -> None:
    winner = await service_env.requested()
    body = service_env.request_body(account=winner.request["account"])
    # As after an interrupted call: its workflow exists, and no worker has processed it.
    early = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        body,
        id=workflow_id_of(body),
        task_queue=service_env.task_queue,
        start_delay=timedelta(minutes=10),
    )
    refused = await service_env.request_outcome(body)
    assert isinstance(refused, Refusal)
    assert "NAME_TAKEN" in {problem.code for problem in refused.problems} | {refused.code}
    await has_closed(early)


async def updated(service_env: ServiceEnv, body: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """Return the response to an update-with-start, as a client without the library sends it."""
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "SubscriptionWorkflow",
        body,
        id=workflow_id_of(body),
        task_queue=service_env.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        **options,
    )
    return await service_env.temporal.execute_update_with_start_workflow(
        "request", args=arguments, start_workflow_operation=start
    )


async def test_r9_without_fingerprint_returns_original_response(service_env: ServiceEnv) -> None:
    body = service_env.request_body()
    first = await updated(service_env, body)
    assert first["state"] == "TRIAL"
    subscription_id = subscription_id_for(body["request_id"])
    assert await updated(service_env, body) == first
    fingerprints: list[Any] = [None, "", {}, await fingerprint_of(service_env, subscription_id)]
    for argument in fingerprints:
        assert await updated(service_env, body, argument) == first
    await service_env.client.rename_account(
        subscription_id, Account(kind=AccountKind.GROUP, name=unique_name("other"))
    )
    assert await updated(service_env, body) == first  # from a later run
    assert (await service_env.client.request(body)).model_dump(mode="json") == first


async def fingerprint_of(service_env: ServiceEnv, subscription_id: str) -> str:
    fingerprint: str = await service_env.owner.fetchval(
        "SELECT request_fingerprint FROM subscriptions WHERE subscription_id = $1", subscription_id
    )
    return fingerprint


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("of another body", RefusalCode.REQUEST_ID_REUSED),
        (5, RefusalCode.INVALID_ARGUMENT),
        (["a"], RefusalCode.INVALID_ARGUMENT),
    ],
)
async def test_r9_another_fingerprint_is_refused(
    service_env: ServiceEnv, argument: Any, code: RefusalCode
) -> None:
    body = service_env.request_body()
    await updated(service_env, body)
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(service_env, body, argument)
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == code


@pytest.mark.parametrize(
    "options",
    [
        {"retry_policy": RetryPolicy(maximum_attempts=2)},
        {"cron_schedule": "@every 1s"},
        {"run_timeout": timedelta(days=1)},
        {"execution_timeout": timedelta(days=900)},
    ],
    ids=["retry policy", "cron schedule", "run timeout", "execution timeout"],
)
async def test_start_that_reuses_or_ends_the_workflow_is_refused(
    service_env: ServiceEnv, options: dict[str, Any]
) -> None:
    body = service_env.request_body()
    started = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow", body, id=workflow_id_of(body), task_queue=service_env.task_queue, **options
    )
    # The handle of the workflow: the result of the first run, which is deleted, would be awaited for seconds.
    handle = service_env.temporal.get_workflow_handle(started.id)
    await has_closed(handle)
    result = await handle.result()
    assert (result["state"], result["code"]) == (State.REJECTED, RefusalCode.INVALID_START)
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED, "no run follows"
    assert (await updated(service_env, body))["state"] == State.TRIAL


async def test_refused_start_option_is_named_to_request_caller(service_env: ServiceEnv) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(service_env, service_env.request_body(), retry_policy=RetryPolicy(maximum_attempts=2))
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.INVALID_START
    assert "retry policy" in failure.value.cause.message


async def test_r5_concurrent_requests_for_one_name(
    service_env: ServiceEnv,
) -> None:
    """One request is accepted, and nothing is left of the other."""

    async def race(number: int) -> dict[str, Any]:
        """Let two race for a name, and return the request that lost."""
        name = f"race-{number}"
        bodies = [
            service_env.request_body(
                request_id=f"racer-{number}-{side}",
                customer_id=f"payer-{number}-{side}",
                account={"group": name},
                admin_id=f"boss-{number}-{side}",
                company_name=f"Company of racer {number} {side}",
            )
            for side in "ab"
        ]
        answers = await gather_all(service_env.request_outcome(body) for body in bodies)
        [lost] = [n for n, answer in enumerate(answers) if isinstance(answer, Refusal)]
        won, refused = answers[1 - lost], answers[lost]
        assert isinstance(won, RequestAnswer)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.NAME_TAKEN, "account.group")
        holder = await service_env.owner.fetch(
            "SELECT subscription_id FROM account_names WHERE name = $1", name
        )
        assert [row["subscription_id"] for row in holder] == [won.subscription_id]
        return bodies[lost]

    losers = await gather_all(race(number) for number in range(SIZES.name_races))
    assert len(losers) == SIZES.name_races

    left = ("request_id", "customer_id", "admin_id", "company_name")
    everything = [loser[key] for loser in losers for key in left]
    everything += [subscription_id_for(loser["request_id"]) for loser in losers]
    assert await found_in_database(service_env, everything) == []

    async def cleared(loser: dict[str, Any]) -> None:
        workflow_id = workflow_id_of(loser)
        await has_closed(service_env.temporal.get_workflow_handle(workflow_id))
        await is_deleted_from_workflow(service_env.temporal, workflow_id, [loser[key] for key in left])

    await gather_all(cleared(loser) for loser in losers)


async def test_r9_concurrent_identical_requests_start_one(
    service_env: ServiceEnv,
) -> None:
    """A request that is sent five times concurrently starts one subscription and gets one response."""
    body = service_env.request_body()
    answers = await gather_all(service_env.client.request(body) for _ in range(5))
    assert answers == [answers[0]] * 5
    assert answers[0].state is State.TRIAL
    assert await service_env.client.request(body) == answers[0]
    rows = await service_env.owner.fetch(
        "SELECT subscription_id FROM subscriptions WHERE customer_id = $1", body["customer_id"]
    )
    assert [row["subscription_id"] for row in rows] == [answers[0].subscription_id]
    timeline = await service_env.client.timeline(answers[0].subscription_id)
    assert [entry.event for entry in timeline] == ["TRIAL_STARTED"]


async def test_r5_r9_concurrent_requests_sharing_id_or_name(
    service_env: ServiceEnv,
) -> None:
    """A Temporal client chooses the workflow ID: two workflows can share a request ID, or the reverse."""
    body = service_env.request_body()
    other_name = {**body, "account": service_env.request_body()["account"]}
    other_id = {**body, "request_id": unique_name("shared")}
    ids = [unique_name("chosen") for _ in range(3)]
    activities = ProvisioningActivities(
        service_env.pool,
        PostgresWorkspaceProvisioner(service_env.pool),
        NoticeEmails(),
        allow_simulation=False,
    )

    async def provisioned(subscription_id: str, request: dict[str, Any]) -> ProvisionResult:
        wanted = ProvisionInput(
            subscription_id=subscription_id, request=request, accepted_at=kst("2026-11-01")
        )
        answer: ProvisionResult = await activities.provision_subscription(wanted)
        return answer

    answers = await gather_all(
        provisioned(subscription_id, request)
        for subscription_id in ids
        for request in (body, other_name, other_id) * 2
    )
    refusals = {answer.refused.code for answer in answers if isinstance(answer, RequestRefused)}
    assert refusals <= {RefusalCode.REQUEST_ID_REUSED, RefusalCode.NAME_TAKEN}
    rows = await service_env.owner.fetch(
        """
        SELECT request_id, name FROM subscriptions JOIN account_names USING (subscription_id)
         WHERE subscription_id = ANY ($1)
        """,
        ids,
    )
    assert rows
    assert len({row["request_id"] for row in rows}) == len({row["name"] for row in rows}) == len(rows)


@pytest.mark.parametrize("shared", ["subscription_id", "request_id"])
async def test_r9_concurrently_inserted_row_is_no_error(service_env: ServiceEnv, shared: str) -> None:
    catalogue_now = (await load_price_book(service_env.pool)).versions[-1]

    def row(subscription_id: str, request_id: str) -> tuple[Subscription, Request]:
        request = parse_strict(Request, service_env.request_body(request_id=request_id))
        account = request.account.account
        started = start_trial(kst("2026-11-01"), account, request.agreed_terms, catalogue_now, "token")
        return apply(provisioning(subscription_id, request), started), request

    one, other = unique_name("one"), unique_name("other")
    rows = [row(one, one), row(one, other) if shared == "subscription_id" else row(other, one)]
    begun = asyncio.Event()

    async def second() -> bool:
        async with service_env.pool.acquire() as connection, connection.transaction():
            begun.set()
            return await insert_subscription(connection, *rows[1])

    async with (
        asyncio.TaskGroup() as group,
        service_env.pool.acquire() as connection,
        connection.transaction(),
    ):
        assert await insert_subscription(connection, *rows[0])
        inserting = group.create_task(second())
        await begun.wait()
        await wait_for_blocked_sessions(service_env.owner, query="INSERT INTO subscriptions")
    assert not inserting.result()


async def test_r9_reused_request_id_is_refused(service_env: ServiceEnv) -> None:
    body = service_env.request_body()
    other = {**body, "members": 11}
    first = await service_env.client.request(body)
    for _ in range(2):
        refused = await service_env.request_outcome(other)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.REQUEST_ID_REUSED, "request_id")
    assert await service_env.client.request(body) == first


async def test_r9_concurrent_bodies_with_one_id_accept_only_one(service_env: ServiceEnv) -> None:
    async def race() -> None:
        body = service_env.request_body()
        bodies = [body, {**body, "members": 11}] * 3
        answers = await gather_all(service_env.request_outcome(each) for each in bodies)
        for same in (answers[0::2], answers[1::2]):
            assert same == [same[0]] * 3
        refused = [answer for answer in answers if isinstance(answer, Refusal)]
        assert [answer.code for answer in refused] == [RefusalCode.REQUEST_ID_REUSED] * 3

    await gather_all(race() for _ in range(2))


async def test_r9_refused_request_is_decided_again_with_same_id(service_env: ServiceEnv) -> None:
    holder = await service_env.requested()
    late = service_env.request_body(account=holder.request["account"])
    # Without the client's own check of the name, as in a race: the workflow itself finds the name taken.
    refused = await start_without_name_check(service_env, late)
    assert refused.code is RefusalCode.NAME_TAKEN

    renamed = {**late, "account": {"group": unique_name("second-choice")}}
    accepted = await service_env.client.request(renamed)
    assert accepted.subscription_id == subscription_id_for(late["request_id"])
    assert await service_env.client.request(renamed) == accepted


async def start_without_name_check(service_env: ServiceEnv, body: dict[str, Any]) -> Refusal:
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow", body, id=workflow_id_of(body), task_queue=service_env.task_queue
    )
    handle = service_env.temporal.get_workflow_handle(workflow_id_of(body))
    await has_closed(handle)
    result = await handle.result()
    assert result["state"] == State.REJECTED
    return Refusal(code=result["code"], message="")


async def test_r5_r9_erasure_frees_name_and_keeps_response(
    service_env: ServiceEnv,
) -> None:
    subscription = await service_env.requested()
    first = await service_env.client.request(subscription.request)
    waiting = service_env.request_body(account=subscription.request["account"])
    refused = await service_env.request_outcome(waiting)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NAME_TAKEN

    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()

    ended = first.model_copy(update={"state": State.ERASED})
    assert await service_env.client.request(subscription.request) == ended
    assert (await service_env.client.request(waiting)).state is State.TRIAL
    assert await service_env.client.request(subscription.request) == ended
    assert (await subscription.status()).state is State.ERASED


async def test_r9_reused_request_id_is_refused_after_erasure(
    service_env: ServiceEnv,
) -> None:
    subscription = await service_env.requested()
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    for changed in ({"members": 11}, {"company_name": "Other"}, {"account": {"group": unique_name("other")}}):
        for check in (service_env.request_outcome, service_env.client.check_request):
            refused = await check({**subscription.request, **changed})
            assert isinstance(refused, Refusal)
            assert (refused.code, refused.field) == (RefusalCode.REQUEST_ID_REUSED, "request_id")
        with pytest.raises(WorkflowUpdateFailedError) as failure:
            await updated(service_env, {**subscription.request, **changed})
        assert isinstance(failure.value.cause, ApplicationError)
        assert failure.value.cause.type == RefusalCode.REQUEST_ID_REUSED
        await subscription.has_closed()
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(service_env, subscription.request)
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.SUBSCRIPTION_ENDED


async def test_r31_kept_request_data_is_not_personal(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    fingerprint = await fingerprint_of(service_env, subscription.id)
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    stored = await service_env.owner.fetchval(
        "SELECT erased_request_hash FROM subscriptions WHERE subscription_id = $1", subscription.id
    )
    assert len(stored) == 32
    # Without the key, the fingerprint of a guessed body cannot be computed.
    assert stored.hex() != fingerprint
    assert stored != sha256(fingerprint.encode()).digest()
    assert await found_in_database(service_env, [fingerprint]) == []


async def test_r9_r10_original_response_after_rename(
    service_env: ServiceEnv,
) -> None:
    subscription = await service_env.requested()
    first = await service_env.client.request(subscription.request)
    await subscription.send("rename_account", group=unique_name("renamed"))
    assert await service_env.client.request(subscription.request) == first
    other = await service_env.requested(account=subscription.request["account"])
    assert other.id != subscription.id
    assert await service_env.client.request(subscription.request) == first


async def test_lists_have_pages_and_state_and_customer_filters(service_env: ServiceEnv) -> None:
    payer = unique_name("payer")
    subscriptions = await gather_all(service_env.requested(customer_id=payer) for _ in range(5))
    ended = subscriptions[0]
    await ended.send("cancel", date=f"{await ended.today()}")
    await ended.has_closed()
    ids = sorted(subscription.id for subscription in subscriptions)
    everything = await service_env.client.list(customer_id=payer)
    assert [listed.subscription_id for listed in everything] == ids
    pages = [
        await service_env.client.list(customer_id=payer, limit=3),
        await service_env.client.list(customer_id=payer, limit=3, after=ids[2]),
    ]
    assert [*pages[0], *pages[1]] == everything
    in_trial = await service_env.client.list(customer_id=payer, state=State.TRIAL)
    assert [listed.subscription_id for listed in in_trial] == [each for each in ids if each != ended.id]


async def test_r5_name_check_changes_nothing(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    account = Account(kind=AccountKind.GROUP, name=subscription.request["account"]["group"])
    free = Account(kind=AccountKind.GROUP, name=unique_name("free"))
    assert not (await service_env.client.check_name(account)).available
    assert (await service_env.client.check_name(free)).available
    assert (await service_env.client.check_name(free)).available
    assert await found_in_database(service_env, [free.name]) == []


async def test_r9_all_problems_are_reported_and_nothing_starts(service_env: ServiceEnv) -> None:
    body = service_env.request_body(region="JP", members=0, admin_id="A", company_phone="1", colour="red")
    with pytest.raises(RefusalError) as refusal:
        await service_env.client.request(body)
    assert refusal.value.refused.code is RefusalCode.REQUEST_REFUSED
    fields = {problem.field for problem in refusal.value.refused.problems}
    assert fields == {"region", "members", "admin_id", "company_phone", "colour"}
    assert not await is_known(service_env.temporal.get_workflow_handle(workflow_id_of(body)))
    assert await found_in_database(service_env, [body["request_id"]]) == []


async def test_r7_only_argon2id_hash_of_password_is_stored(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    stored = await service_env.owner.fetchval(
        "SELECT password_hash FROM administrators WHERE subscription_id = $1", subscription.id
    )
    assert stored.startswith("$argon2id$")
    assert PasswordHasher().verify(stored, PASSWORD)
    assert await found_in_database(service_env, [PASSWORD]) == []
    assert await found_in_workflow(service_env.temporal, subscription.workflow_id, [PASSWORD]) == []


async def test_r33_production_refuses_simulated_start_time(stack: EmbeddedStack, temporal: Client) -> None:
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(allow_simulation=False),
    ):
        body = service_env.request_body(simulated_at=kst("2030-01-01 09:00").isoformat())
        refused = await service_env.request_outcome(body)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.SIMULATION_NOT_ALLOWED, "simulated_at")
        await has_closed(temporal.get_workflow_handle(workflow_id_of(body)))
        assert await found_in_database(service_env, [body["request_id"]]) == []

        subscription: SubscriptionDriver = await service_env.requested()
        refused = await subscription.expect_refusal("withdraw_reservation", at="2030-01-01 09:00")
        assert (refused.code, refused.field) == (RefusalCode.NO_TEST_CLOCK, "at")


@pytest.mark.parametrize("memo", [5, {"kind": "UNKNOWN"}, None], ids=repr)
async def test_forged_memo_blocks_no_subscription(service_env: ServiceEnv, memo: Any) -> None:
    body = service_env.request_body()
    assert (await updated(service_env, body, memo={ATTENTION_MEMO: memo}))["state"] == State.TRIAL
    subscription = SubscriptionDriver(
        service_env.client, service_env.temporal, subscription_id_for(body["request_id"]), body
    )

    async def is_listed() -> bool:
        found = await service_env.client.find(query=f"WorkflowId = '{subscription.workflow_id}'")
        return [each.subscription_id for each in found.subscriptions] == [subscription.id]

    await wait_for("it is in lists", is_listed)
    for needed in (True, False):
        await subscription.handle.signal("needs_attention", {"needed": needed, "reason": "T-4711"})
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    assert await subscription.failed_tasks() == []
