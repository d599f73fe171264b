"""A workflow that an operator has terminated: a new one continues from the database."""

from datetime import timedelta
from typing import Any

import pytest
from support.data_search import is_deleted_from_workflow
from support.malformed_payloads import NOT_JSON
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv
from support.subscription_driver import is_known

from adapters.command_sender import WorkflowMissingError
from subscription.business_calendar import day_of


async def test_missing_workflow_is_reported_as_lost(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.handle.terminate("by an operator's mistake")
    with pytest.raises(WorkflowMissingError, match=subscription.id):
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    assert await subscription.events() == ["TRIAL_STARTED"]


async def test_restarted_workflow_resumes_from_database(
    service_env: ServiceEnv,
) -> None:
    """A restarted workflow ignores its input and continues from the database."""

    async def one(*arguments: Any) -> None:
        subscription = await service_env.requested(admin_id="lost.admin")
        started = (await subscription.status()).started_at
        assert started is not None
        switch = {"date": f"{await subscription.today()}", "term": "MONTHLY", "id": "the-switch"}
        first = await subscription.send("switch_to_paid", **switch)
        await subscription.advance_clock_to(started + timedelta(days=70))
        before = await subscription.client.timeline(subscription.id)
        runs = await subscription.run_ids()

        await subscription.handle.terminate("by an operator's mistake")
        await service_env.temporal.start_workflow(
            "SubscriptionWorkflow",
            args=arguments,
            id=subscription.workflow_id,
            task_queue=service_env.task_queue,
        )

        await wait_for("the new workflow has started", subscription.has_started)
        status = await subscription.status()
        assert await subscription.handle.query("status") == status.model_dump(mode="json")
        assert [
            entry["event"] for entry in await subscription.handle.query("timeline")
        ] == await subscription.events()
        assert await subscription.client.timeline(subscription.id) == before
        assert await subscription.send("switch_to_paid", **switch) == first
        assert await service_env.client.request(subscription.request) == await service_env.client.request(
            subscription.request
        )
        assert await subscription.failed_tasks() == []

        # Its clock is behind the last event, whose time counts.
        await subscription.send("cancel", date=f"{day_of(before[-1].at)}")
        await subscription.has_closed()
        assert (await subscription.client.timeline(subscription.id))[: len(before)] == before
        assert (await subscription.events())[-2:] == ["CANCELED", "ERASED"]
        for run in runs:
            assert not await is_known(
                service_env.temporal.get_workflow_handle(subscription.workflow_id, run_id=run)
            )
        await is_deleted_from_workflow(service_env.temporal, subscription.workflow_id, ["lost.admin"], runs)

    await gather_all([one(), one(None), one({"nonsense": True}), one(NOT_JSON)])


async def test_workflow_restarted_after_erasure_is_rejected(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    before = await subscription.client.timeline(subscription.id)
    await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        subscription.request,
        id=subscription.workflow_id,
        task_queue=service_env.task_queue,
    )
    assert (await service_env.temporal.get_workflow_handle(subscription.workflow_id).result())[
        "state"
    ] == "REJECTED"
    await subscription.has_closed()
    assert await subscription.client.timeline(subscription.id) == before
    name = subscription.request["account"]["group"]
    await is_deleted_from_workflow(service_env.temporal, subscription.workflow_id, [name])
