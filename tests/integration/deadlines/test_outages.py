"""Deadlines during a PostgreSQL outage: NeedsAttention is set, and nothing is lost or executed twice."""

import asyncio
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.polling import wait_for
from support.service_env import catalogue, open_service_env
from support.subscription_driver import SubscriptionDriver
from support.tcp_proxy import TcpProxy
from temporalio.client import Client, WorkflowHandle

from adapters.postgres.pool import CONNECT_ERRORS
from adapters.temporal.search_attributes import NEEDS_ATTENTION
from dev_stack.postgres_server import PostgresServer
from dev_stack.stack import EmbeddedStack
from starter.requests import subscription_id_for
from starter.setup import set_up
from subscription.attention import ATTENTION_MEMO, Attention, AttentionKind
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.state import State

DATABASE = "outage"


async def needs_attention(handle: WorkflowHandle[Any, Any]) -> bool:
    return bool((await handle.describe()).typed_search_attributes.get(NEEDS_ATTENTION))


async def test_deadline_during_postgresql_outage_is_shown_and_met(
    stack: EmbeddedStack, temporal: Client, tmp_path: Path
) -> None:
    """NeedsAttention is shown during the outage; the deadline is met when PostgreSQL is back."""
    async with AsyncExitStack() as resources, TcpProxy() as proxy:
        async with PostgresServer(tmp_path) as server:
            url = await server.ensure_database(DATABASE)
            await set_up(temporal, url, catalogue())
            service_env = await resources.enter_async_context(
                open_service_env(stack, temporal, database_url=proxy.leads_to_database(url))
            )
            subscription = await service_env.requested()
            started = (await subscription.status()).started_at
            assert started is not None

        # The server is down. A client requests a subscription, and the clocks continue.
        body = service_env.request_body()
        with pytest.raises(CONNECT_ERRORS):
            await service_env.client.request(body)
        requested = SubscriptionDriver(
            service_env.client, temporal, subscription_id_for(body["request_id"]), body
        )
        await temporal.start_workflow(
            "SubscriptionWorkflow",
            body,
            id=WORKFLOW_ID_PREFIX + requested.id,
            task_queue=service_env.task_queue,
        )
        passing = [
            asyncio.create_task(subscription.clock.advance_to(started + timedelta(days=40))),
            asyncio.create_task(requested.clock.advance_to(datetime.now(UTC) + timedelta(days=20))),
        ]
        for driver in (subscription, requested):
            await wait_for("NeedsAttention is set", partial(needs_attention, driver.handle))
        listed = {
            found.id: await found.memo_value(ATTENTION_MEMO, type_hint=Attention)
            async for found in temporal.list_workflows(
                "NeedsAttention = true AND ExecutionStatus = 'Running'"
            )
        }
        for driver, effect in ((subscription, "record_transition"), (requested, "provision_subscription")):
            attention = listed[driver.workflow_id]
            assert attention.kind is AttentionKind.EFFECT_FAILS
            assert re.fullmatch(rf"{effect} fails with \w+", attention.reason or "")
        assert (await subscription.handle.query("status"))["state"] == State.TRIAL

        async with PostgresServer(tmp_path) as server:
            proxy.leads_to_database(server.dsn(DATABASE))
            await asyncio.gather(*passing)
            for driver in (subscription, requested):
                await driver.client.settle(driver.id)
                assert not await needs_attention(driver.handle)
                # A codec encrypts the null that deletes a memo, so the server keeps it.
                assert await (await driver.handle.describe()).memo_value(ATTENTION_MEMO, default=None) is None
                assert await driver.failed_tasks() == []
            entries = await subscription.client.timeline(subscription.id)
            assert [(entry.event, entry.at - started) for entry in entries] == [
                ("TRIAL_STARTED", timedelta(0)),
                ("TRIAL_ENDED", timedelta(days=30)),
            ]
            assert await requested.events() == ["TRIAL_STARTED"]
            assert (await service_env.client.request(body)).subscription_id == requested.id
            await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
            assert (await subscription.status()).state is State.ACTIVE
            await resources.aclose()
