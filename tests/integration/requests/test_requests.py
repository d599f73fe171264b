"""Requests: one name for one life, one answer for one request id, and nothing left of a refused one."""

import asyncio
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from argon2 import PasswordHasher
from support.data_search import found_in_database, found_in_workflow, is_gone_from_workflow
from support.polling import gather_all, wait_for
from support.service_env import PASSWORD, ServiceEnv, kst, open_service_env, unique_name
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
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.subscription_repository import insert_subscription
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from starter.requests import subscription_id_for
from subscription.activity_contracts import ProvisionInput, ProvisionResult, RequestRefused
from subscription.apply import apply
from subscription.attention import ATTENTION_MEMO
from subscription.decide import start_trial
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.request import Account, AccountKind, Request
from subscription.state import State, Subscription, provisioning
from subscription.timeline import RequestAnswer
from subscription.validation import parse_strict

RACES = 50


def workflow_id_of(body: dict[str, Any]) -> str:
    return WORKFLOW_ID_PREFIX + subscription_id_for(body["request_id"])


async def test_r9_a_refusal_counts_for_what_was_sent_before_and_has_not_begun(house: ServiceEnv) -> None:
    winner = await house.requested()
    body = house.request_body(account=winner.request["account"])
    # As after a send that was cut off: its workflow is there, and nobody has worked on it.
    early = await house.temporal.start_workflow(
        "SubscriptionWorkflow",
        body,
        id=workflow_id_of(body),
        task_queue=house.task_queue,
        start_delay=timedelta(minutes=10),
    )
    refused = await house.judged(body)
    assert isinstance(refused, Refusal)
    assert "NAME_TAKEN" in {problem.code for problem in refused.problems} | {refused.code}
    await has_closed(early)


async def updated(house: ServiceEnv, body: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """The answer to an update-with-start, as a client sends it that has only Temporal."""
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "SubscriptionWorkflow",
        body,
        id=workflow_id_of(body),
        task_queue=house.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        **options,
    )
    return await house.temporal.execute_update_with_start_workflow(
        "request", args=arguments, start_workflow_operation=start
    )


async def test_r9_without_a_fingerprint_the_answer_is_the_first_answer(house: ServiceEnv) -> None:
    body = house.request_body()
    first = await updated(house, body)
    assert first["state"] == "TRIAL"
    subscription_id = subscription_id_for(body["request_id"])
    assert await updated(house, body) == first
    fingerprints: list[Any] = [None, "", {}, await fingerprint_of(house, subscription_id)]
    for argument in fingerprints:
        assert await updated(house, body, argument) == first
    await house.client.rename_account(
        subscription_id, Account(kind=AccountKind.GROUP, name=unique_name("other"))
    )
    assert await updated(house, body) == first  # from a later run
    assert (await house.client.request(body)).model_dump(mode="json") == first


async def fingerprint_of(house: ServiceEnv, subscription_id: str) -> str:
    fingerprint: str = await house.owner.fetchval(
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
async def test_r9_another_fingerprint_is_refused(house: ServiceEnv, argument: Any, code: RefusalCode) -> None:
    body = house.request_body()
    await updated(house, body)
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(house, body, argument)
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
async def test_a_start_that_would_repeat_or_end_the_workflow_is_refused(
    house: ServiceEnv, options: dict[str, Any]
) -> None:
    body = house.request_body()
    started = await house.temporal.start_workflow(
        "SubscriptionWorkflow", body, id=workflow_id_of(body), task_queue=house.task_queue, **options
    )
    result = await started.result()
    assert (result["state"], result["code"]) == (State.REJECTED, RefusalCode.INVALID_START)
    latest = await house.temporal.get_workflow_handle(started.id).describe()
    assert latest.status is WorkflowExecutionStatus.COMPLETED, "no run follows"
    assert (await updated(house, body))["state"] == State.TRIAL


async def test_a_caller_of_request_learns_which_option_was_refused(house: ServiceEnv) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(house, house.request_body(), retry_policy=RetryPolicy(maximum_attempts=2))
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.INVALID_START
    assert "retry policy" in failure.value.cause.message


async def test_r5_of_two_requests_for_one_name_one_wins_and_nothing_is_left_of_the_other(
    house: ServiceEnv,
) -> None:
    async def race(number: int) -> dict[str, Any]:
        """Let two race for a name, and return the request that lost."""
        name = f"race-{number}"
        bodies = [
            house.request_body(
                request_id=f"racer-{number}-{side}",
                customer_id=f"payer-{number}-{side}",
                account={"group": name},
                admin_id=f"boss-{number}-{side}",
                company_name=f"Company of racer {number} {side}",
            )
            for side in "ab"
        ]
        answers = await gather_all(house.judged(body) for body in bodies)
        [lost] = [n for n, answer in enumerate(answers) if isinstance(answer, Refusal)]
        won, refused = answers[1 - lost], answers[lost]
        assert isinstance(won, RequestAnswer)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.NAME_TAKEN, "account.group")
        holder = await house.owner.fetch("SELECT subscription_id FROM account_names WHERE name = $1", name)
        assert [row["subscription_id"] for row in holder] == [won.subscription_id]
        return bodies[lost]

    losers = await gather_all(race(number) for number in range(RACES))
    assert len(losers) == RACES

    left = ("request_id", "customer_id", "admin_id", "company_name")
    everything = [loser[key] for loser in losers for key in left]
    everything += [subscription_id_for(loser["request_id"]) for loser in losers]
    assert await found_in_database(house, everything) == []

    async def cleared(loser: dict[str, Any]) -> None:
        workflow_id = workflow_id_of(loser)
        await has_closed(house.temporal.get_workflow_handle(workflow_id))
        await is_gone_from_workflow(house.temporal, workflow_id, [loser[key] for key in left])

    await gather_all(cleared(loser) for loser in losers)


async def test_r9_a_request_sent_five_times_at_once_is_one_subscription_with_one_answer(
    house: ServiceEnv,
) -> None:
    body = house.request_body()
    answers = await gather_all(house.client.request(body) for _ in range(5))
    assert answers == [answers[0]] * 5
    assert answers[0].state is State.TRIAL
    assert await house.client.request(body) == answers[0]
    rows = await house.owner.fetch(
        "SELECT subscription_id FROM subscriptions WHERE customer_id = $1", body["customer_id"]
    )
    assert [row["subscription_id"] for row in rows] == [answers[0].subscription_id]
    timeline = await house.client.timeline(answers[0].subscription_id)
    assert [entry.event for entry in timeline] == ["TRIAL_STARTED"]


async def test_r5_r9_requests_at_once_that_share_an_id_or_a_name_are_each_answered(house: ServiceEnv) -> None:
    """A client of Temporal chooses the workflow's id: two can share a request id, or the reverse."""
    body = house.request_body()
    other_name = {**body, "account": house.request_body()["account"]}
    other_id = {**body, "request_id": unique_name("shared")}
    ids = [unique_name("chosen") for _ in range(3)]
    activities = ProvisioningActivities(
        house.pool, PostgresWorkspaceProvisioner(house.pool), allow_simulation=False
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
    rows = await house.owner.fetch(
        """
        SELECT request_id, name FROM subscriptions JOIN account_names USING (subscription_id)
         WHERE subscription_id = ANY ($1)
        """,
        ids,
    )
    assert rows
    assert len({row["request_id"] for row in rows}) == len({row["name"] for row in rows}) == len(rows)


@pytest.mark.parametrize("shared", ["subscription_id", "request_id"])
async def test_r9_a_row_that_another_transaction_inserts_is_not_an_error(
    house: ServiceEnv, shared: str
) -> None:
    catalogue_now = (await load_price_book(house.pool)).versions[-1]

    def row(subscription_id: str, request_id: str) -> tuple[Subscription, Request]:
        request = parse_strict(Request, house.request_body(request_id=request_id))
        account = request.account.account
        started = start_trial(kst("2026-11-01"), account, request.agreed_terms, catalogue_now, "token")
        return apply(provisioning(subscription_id, request), started), request

    one, other = unique_name("one"), unique_name("other")
    rows = [row(one, one), row(one, other) if shared == "subscription_id" else row(other, one)]
    begun = asyncio.Event()

    async def second() -> bool:
        async with house.pool.acquire() as connection, connection.transaction():
            begun.set()
            return await insert_subscription(connection, *rows[1])

    async def waits() -> bool:
        return bool(
            await house.owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO subscriptions%'"
            )
        )

    async with asyncio.TaskGroup() as group, house.pool.acquire() as connection, connection.transaction():
        assert await insert_subscription(connection, *rows[0])
        inserting = group.create_task(second())
        await begun.wait()
        await wait_for("the second insertion waits for the first", waits)
    assert not inserting.result()


async def test_r9_another_body_under_a_request_id_is_refused(house: ServiceEnv) -> None:
    body = house.request_body()
    other = {**body, "members": 11}
    first = await house.client.request(body)
    for _ in range(2):
        refused = await house.judged(other)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.REQUEST_ID_REUSED, "request_id")
    assert await house.client.request(body) == first


async def test_r9_of_two_bodies_at_once_under_one_request_id_one_is_accepted(house: ServiceEnv) -> None:
    async def race() -> None:
        body = house.request_body()
        bodies = [body, {**body, "members": 11}] * 3
        answers = await gather_all(house.judged(each) for each in bodies)
        for same in (answers[0::2], answers[1::2]):
            assert same == [same[0]] * 3
        refused = [answer for answer in answers if isinstance(answer, Refusal)]
        assert [answer.code for answer in refused] == [RefusalCode.REQUEST_ID_REUSED] * 3

    await gather_all(race() for _ in range(4))


async def test_r9_a_refused_request_is_judged_anew_under_the_same_id(house: ServiceEnv) -> None:
    holder = await house.requested()
    late = house.request_body(account=holder.request["account"])
    # Past the client's own look at the name, as in a race: the workflow itself finds the name taken.
    refused = await start_without_a_look(house, late)
    assert refused.code is RefusalCode.NAME_TAKEN

    renamed = {**late, "account": {"group": unique_name("second-choice")}}
    accepted = await house.client.request(renamed)
    assert accepted.subscription_id == subscription_id_for(late["request_id"])
    assert await house.client.request(renamed) == accepted


async def start_without_a_look(house: ServiceEnv, body: dict[str, Any]) -> Refusal:
    handle = await house.temporal.start_workflow(
        "SubscriptionWorkflow", body, id=workflow_id_of(body), task_queue=house.task_queue
    )
    result = await handle.result()
    assert result["state"] == State.REJECTED
    return Refusal(code=result["code"], message="")


async def test_r5_r9_after_erasure_the_name_is_free_and_the_first_answer_stays(house: ServiceEnv) -> None:
    life = await house.requested()
    first = await house.client.request(life.request)
    waiting = house.request_body(account=life.request["account"])
    refused = await house.judged(waiting)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NAME_TAKEN

    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()

    ended = first.model_copy(update={"state": State.ERASED})
    assert await house.client.request(life.request) == ended
    assert (await house.client.request(waiting)).state is State.TRIAL
    assert await house.client.request(life.request) == ended
    assert (await life.status()).state is State.ERASED


async def test_r9_after_erasure_another_body_under_the_same_request_id_is_refused(house: ServiceEnv) -> None:
    life = await house.requested()
    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()
    for changed in ({"members": 11}, {"company_name": "Other"}, {"account": {"group": unique_name("other")}}):
        for asked in (house.judged, house.client.check_request):
            refused = await asked({**life.request, **changed})
            assert isinstance(refused, Refusal)
            assert (refused.code, refused.field) == (RefusalCode.REQUEST_ID_REUSED, "request_id")
        with pytest.raises(WorkflowUpdateFailedError) as failure:
            await updated(house, {**life.request, **changed})
        assert isinstance(failure.value.cause, ApplicationError)
        assert failure.value.cause.type == RefusalCode.REQUEST_ID_REUSED
        await life.has_closed()
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await updated(house, life.request)
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == RefusalCode.SUBSCRIPTION_ENDED


async def test_r31_what_stays_of_an_erased_request_names_nobody(house: ServiceEnv) -> None:
    life = await house.requested()
    fingerprint = await fingerprint_of(house, life.id)
    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()
    kept = await house.owner.fetchval(
        "SELECT erased_request FROM subscriptions WHERE subscription_id = $1", life.id
    )
    assert len(kept) == 32
    # Without the key a guessed body cannot be compared.
    assert kept.hex() != fingerprint
    assert kept != sha256(fingerprint.encode()).digest()
    assert await found_in_database(house, [fingerprint]) == []


async def test_r9_r10_a_request_sent_again_after_a_rename_gives_the_first_answer(house: ServiceEnv) -> None:
    life = await house.requested()
    first = await house.client.request(life.request)
    await life.asks("rename_account", group=unique_name("renamed"))
    assert await house.client.request(life.request) == first
    other = await house.requested(account=life.request["account"])
    assert other.id != life.id
    assert await house.client.request(life.request) == first


async def test_lists_are_in_pages_and_by_state_or_payer(house: ServiceEnv) -> None:
    payer = unique_name("payer")
    lives = await gather_all(house.requested(customer_id=payer) for _ in range(5))
    ended = lives[0]
    await ended.asks("cancel", date=f"{await ended.today()}")
    await ended.has_closed()
    ids = sorted(life.id for life in lives)
    everything = await house.client.list(customer_id=payer)
    assert [listed.subscription_id for listed in everything] == ids
    pages = [
        await house.client.list(customer_id=payer, limit=3),
        await house.client.list(customer_id=payer, limit=3, after=ids[2]),
    ]
    assert [*pages[0], *pages[1]] == everything
    in_trial = await house.client.list(customer_id=payer, state=State.TRIAL)
    assert [listed.subscription_id for listed in in_trial] == [each for each in ids if each != ended.id]


async def test_r5_checking_a_name_changes_nothing(house: ServiceEnv) -> None:
    life = await house.requested()
    account = Account(kind=AccountKind.GROUP, name=life.request["account"]["group"])
    free = Account(kind=AccountKind.GROUP, name=unique_name("free"))
    assert not (await house.client.check_name(account)).available
    assert (await house.client.check_name(free)).available
    assert (await house.client.check_name(free)).available
    assert await found_in_database(house, [free.name]) == []


async def test_r9_all_that_is_wrong_is_said_at_once_and_nothing_is_begun(house: ServiceEnv) -> None:
    body = house.request_body(region="JP", members=0, admin_id="A", company_phone="1", colour="red")
    with pytest.raises(RefusalError) as refusal:
        await house.client.request(body)
    assert refusal.value.refused.code is RefusalCode.REQUEST_REFUSED
    fields = {problem.field for problem in refusal.value.refused.problems}
    assert fields == {"region", "members", "admin_id", "company_phone", "colour"}
    assert not await is_known(house.temporal.get_workflow_handle(workflow_id_of(body)))
    assert await found_in_database(house, [body["request_id"]]) == []


async def test_r7_what_is_kept_of_the_password_is_its_argon2id_hash(house: ServiceEnv) -> None:
    life = await house.requested()
    stored = await house.owner.fetchval(
        "SELECT password_hash FROM administrators WHERE subscription_id = $1", life.id
    )
    assert stored.startswith("$argon2id$")
    assert PasswordHasher().verify(stored, PASSWORD)
    assert await found_in_database(house, [PASSWORD]) == []
    assert await found_in_workflow(house.temporal, life.workflow_id, [PASSWORD]) == []


async def test_r33_where_customers_are_served_no_life_begins_at_another_time(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as house, house.worker(allow_simulation=False):
        body = house.request_body(simulated_at=kst("2030-01-01 09:00").isoformat())
        refused = await house.judged(body)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == (RefusalCode.SIMULATION_NOT_ALLOWED, "simulated_at")
        await has_closed(temporal.get_workflow_handle(workflow_id_of(body)))
        assert await found_in_database(house, [body["request_id"]]) == []

        life: SubscriptionDriver = await house.requested()
        refused = await life.refused("withdraw_reservation", at="2030-01-01 09:00")
        assert (refused.code, refused.field) == (RefusalCode.NO_TEST_CLOCK, "at")


@pytest.mark.parametrize("memo", [5, {"kind": "UNKNOWN"}, None], ids=repr)
async def test_a_memo_that_a_client_has_made_up_stops_no_subscription(house: ServiceEnv, memo: Any) -> None:
    body = house.request_body()
    assert (await updated(house, body, memo={ATTENTION_MEMO: memo}))["state"] == State.TRIAL
    life = SubscriptionDriver(house.client, house.temporal, subscription_id_for(body["request_id"]), body)

    async def is_listed() -> bool:
        found = await house.client.find(query=f"WorkflowId = '{life.workflow_id}'")
        return [each.subscription_id for each in found.subscriptions] == [life.id]

    await wait_for("it is in lists", is_listed)
    for needed in (True, False):
        await life.handle.signal("needs_attention", {"needed": needed, "reason": "T-4711"})
    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()
    assert await life.failed_tasks() == []
