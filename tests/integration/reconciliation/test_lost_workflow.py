"""A workflow that an operator has terminated: the record is there, and a new one goes on from it."""

from datetime import timedelta
from typing import Any

import pytest
from support.data_search import is_gone_from_workflow
from support.malformed_payloads import NOT_JSON
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv
from support.subscription_driver import is_known

from starter.commands import WorkflowMissingError
from subscription.business_calendar import day_of


async def test_a_workflow_that_is_gone_is_said_to_be_lost(house: ServiceEnv) -> None:
    life = await house.requested()
    await life.handle.terminate("by an operator's mistake")
    with pytest.raises(WorkflowMissingError, match=life.id):
        await life.asks("switch_to_paid", date=f"{await life.today()}", term="MONTHLY")
    assert await life.events() == ["TRIAL_STARTED"]


async def test_a_workflow_started_anew_goes_on_from_the_record_whatever_it_is_given(
    house: ServiceEnv,
) -> None:
    async def one(*arguments: Any) -> None:
        life = await house.requested(admin_id="lost.admin")
        started = (await life.status()).started_at
        assert started is not None
        switch = {"date": f"{await life.today()}", "term": "MONTHLY", "id": "the-switch"}
        first = await life.asks("switch_to_paid", **switch)
        await life.sleeps_until(started + timedelta(days=70))
        before = await life.client.timeline(life.id)
        runs = await life.run_ids()

        await life.handle.terminate("by an operator's mistake")
        await house.temporal.start_workflow(
            "SubscriptionWorkflow", args=arguments, id=life.workflow_id, task_queue=house.task_queue
        )

        await wait_for("the new workflow has started", life.has_started)
        status = await life.status()
        assert await life.handle.query("status") == status.model_dump(mode="json")
        assert [entry["event"] for entry in await life.handle.query("timeline")] == await life.events()
        assert await life.client.timeline(life.id) == before
        assert await life.asks("switch_to_paid", **switch) == first
        assert await house.client.request(life.request) == await house.client.request(life.request)
        assert await life.failed_tasks() == []

        # Its clock is behind what has happened, which is the time that counts.
        await life.asks("cancel", date=f"{day_of(before[-1].at)}")
        await life.has_closed()
        assert (await life.client.timeline(life.id))[: len(before)] == before
        assert (await life.events())[-2:] == ["CANCELED", "ERASED"]
        for run in runs:
            assert not await is_known(house.temporal.get_workflow_handle(life.workflow_id, run_id=run))
        await is_gone_from_workflow(house.temporal, life.workflow_id, ["lost.admin"], runs)

    await gather_all([one(), one(None), one({"nonsense": True}), one(NOT_JSON)])


async def test_a_workflow_started_anew_after_erasure_ends_as_rejected(house: ServiceEnv) -> None:
    life = await house.requested()
    await life.asks("cancel", date=f"{await life.today()}")
    await life.has_closed()
    before = await life.client.timeline(life.id)
    await house.temporal.start_workflow(
        "SubscriptionWorkflow", life.request, id=life.workflow_id, task_queue=house.task_queue
    )
    assert (await house.temporal.get_workflow_handle(life.workflow_id).result())["state"] == "REJECTED"
    await life.has_closed()
    assert await life.client.timeline(life.id) == before
    name = life.request["account"]["group"]
    await is_gone_from_workflow(house.temporal, life.workflow_id, [name])
