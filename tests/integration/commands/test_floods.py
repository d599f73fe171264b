"""Floods: a subscription continues under any number of calls, and none of its data grows without bound.

`deadlines/test_continue_as_new.py` has the floods that end runs early.
"""

from datetime import timedelta

import pytest
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client
from temporalio.worker import Worker

from dev_stack.stack import EmbeddedStack
from subscription import idempotency
from subscription.refusals import RefusalCode
from workflows.lifecycle import MOST_NOTED_A_DAY
from workflows.registry import LONGEST_TASK_SECONDS, WORKFLOW_RUNNER, WORKFLOWS, extend_deadlock_detection


async def refusals(service_env: ServiceEnv, subscription: SubscriptionDriver) -> tuple[int, int]:
    """Return the numbers of refused signals with their own entry and of those that are only counted."""
    row = await service_env.owner.fetchrow(
        """
        SELECT count(*) FILTER (WHERE NOT detail->>'code' = $2) AS noted,
               coalesce(sum((detail->>'count')::int) FILTER (WHERE detail->>'code' = $2), 0) AS counted
          FROM lifecycle_events WHERE subscription_id = $1 AND event = 'REFUSED'
        """,
        subscription.id,
        RefusalCode.TOO_MANY_SIGNALS,
    )
    assert row is not None
    return row["noted"], row["counted"]


async def test_r22_ids_older_than_workflow_memory_are_recognized(
    service_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_RECENT", SIZES.remembered_ids)
    subscription = await service_env.paid("2027-01-10 09:00")
    last = SIZES.remembered_ids + 10
    chosen = {f"choice-{number}": number for number in range(1, last + 1)}
    dropped, remembered = f"choice-{last - SIZES.remembered_ids}", f"choice-{last - SIZES.remembered_ids + 1}"

    async def chooses(id_: str, members: int) -> str:
        answer = await subscription.send(
            "change_renewal_option", at="2027-01-10 09:00", term="ANNUAL", members=members, id=id_
        )
        return answer.message

    messages = {id_: await chooses(id_, members) for id_, members in chosen.items()}
    for id_ in ("choice-1", dropped, remembered, f"choice-{last}"):
        assert await chooses(id_, chosen[id_]) == messages[id_]
    for id_ in ("choice-1", f"choice-{last}"):
        refused = await subscription.expect_refusal(
            "change_renewal_option", at="2027-01-10 09:00", term="ANNUAL", members=999, id=id_
        )
        assert refused.code is RefusalCode.COMMAND_ID_REUSED
    refused = await subscription.expect_refusal(
        "withdraw_reservation", at="2027-01-10 09:00", id="never-sent"
    )
    assert refused.code is RefusalCode.NOTHING_RESERVED
    assert (await subscription.events()).count("RENEWAL_OPTION_CHANGED") == len(chosen)
    # The size of a transition does not grow with the number of IDs.
    snapshot = await service_env.owner.fetchval(
        "SELECT snapshot::text FROM subscriptions WHERE subscription_id = $1", subscription.id
    )
    assert "choice-" not in snapshot
    await subscription.cancel_and_wait("2027-01-10 10:00")
    assert await chooses("choice-1", 1) == messages["choice-1"]
    refused = await subscription.expect_refusal(
        "change_renewal_option", term="ANNUAL", members=999, id="choice-1"
    )
    assert refused.code is RefusalCode.COMMAND_ID_REUSED


async def test_refused_signals_are_batched_and_counted_beyond_limit(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    sent = MOST_NOTED_A_DAY + 50
    await gather_all(
        subscription.handle.signal("withdraw_reservation", {"by": f"somebody {n}"}) for n in range(sent)
    )
    await subscription.client.settle(subscription.id)
    assert await refusals(service_env, subscription) == (MOST_NOTED_A_DAY, 0)

    day = await subscription.today()
    now = await subscription.client.clock(subscription.id).now()
    await subscription.advance_clock_to(now + timedelta(days=1))

    async def counted() -> bool:
        return await refusals(service_env, subscription) == (MOST_NOTED_A_DAY, 50)

    await wait_for("the rest of the day is counted", counted)
    entry = next(
        entry
        for entry in await subscription.client.timeline(subscription.id)
        if "without their own entries" in entry.message
    )
    assert f"{day}" in entry.message
    assert "50" in entry.message
    assert await subscription.failed_tasks() == []


async def test_signals_per_run_and_bytes_in_its_queue_are_limited(
    stack: EmbeddedStack, temporal: Client
) -> None:
    """The server would suggest a new run much later, but a longer run takes too long to replay.

    A queue has 512 KB: one signal above 64 KB, of which nothing is kept, and eight of 60,000 bytes.
    """
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.paid("2027-01-10 09:00")
            flooded = await service_env.requested("2027-01-10 09:00")
        runs = len(await subscription.has_run(2))
        await gather_all(subscription.handle.signal("withdraw_reservation", {}) for _ in range(499))
        for length in (65_536, *[60_000] * 11):
            await flooded.handle.signal("withdraw_reservation", {"by": "x" * length})
        async with service_env.worker():
            await subscription.client.settle(subscription.id)
            assert len(await subscription.run_ids()) == runs
            await flooded.client.settle(flooded.id)
            assert await refusals(service_env, flooded) == (9, 0)
            await subscription.handle.signal("withdraw_reservation", {})
            await subscription.has_run(runs + 1)
            await subscription.client.settle(subscription.id)
            assert await refusals(service_env, subscription) == (MOST_NOTED_A_DAY, 0)
            assert await subscription.failed_tasks() == []


async def test_sdk_limit_that_is_extended_still_exists(temporal: Client) -> None:
    worker = Worker(
        temporal,
        task_queue="unserved",
        workflows=WORKFLOWS,
        workflow_runner=WORKFLOW_RUNNER,
        build_id="test",
    )
    assert worker._workflow_worker is not None
    assert worker._workflow_worker._deadlock_timeout_seconds == 2
    extend_deadlock_detection(worker)
    assert worker._workflow_worker._deadlock_timeout_seconds == LONGEST_TASK_SECONDS
