"""Bulk creation of idle workflows in the middle of a subscription.

`SubscriptionWorkflow` resumes only from an earlier run. A `Seed` workflow of the benchmark is this run: it
has the search attributes from its start, and only continues as `SubscriptionWorkflow`. The baseline workflow
resumes from its argument.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from adapters.postgres.worker_keys import worker_signer
from adapters.temporal.client import TASK_QUEUE
from benchmarks.baseline_temporal import workflow as plain
from benchmarks.baseline_temporal.tables import Start
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.implementations import Implementation, plain_request
from subscription.catalogue import PriceBook
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.message_authentication import MessageSigner
from subscription.price_needs import needed_versions, price_needs
from subscription.state import Subscription
from workflows.interceptors.message_authentication import SigningInterceptor
from workflows.run_input import ResumeInput
from workflows.search_attributes import all_search_attributes

_QUEUE = "seeds"
_CONCURRENCY = 20


@workflow.defn(name="Seed")
class Seed:
    """The earlier run, which continues as new immediately."""

    @workflow.run
    async def run(self, stage: dict[str, Any]) -> None:
        resumed = {**stage, "run_ids": [workflow.info().run_id]}
        workflow.continue_as_new(args=[resumed], workflow="SubscriptionWorkflow", task_queue=TASK_QUEUE)


async def seed_ours(
    env: BenchmarkEnvironment, ids: Sequence[str], book: PriceBook, ahead: timedelta | None = None
) -> list[str]:
    """Start workflows in the state stored in the database, with clocks ahead by `ahead`. Needs a worker."""
    rows = await env.owner.fetch(
        "SELECT subscription_id, snapshot FROM subscriptions WHERE subscription_id = ANY($1)", ids
    )

    async def seed(row: asyncpg.Record) -> str:
        workflow_id: str = WORKFLOW_ID_PREFIX + row["subscription_id"]
        state = Subscription.model_validate_json(row["snapshot"])
        stage = ResumeInput(
            state=state,
            book=needed_versions(book, price_needs(state)),
            clock_offset=ahead,
            run_ids=(),
            timeline=(),
            request_fingerprint="",
        )
        await env.temporal.start_workflow(
            "Seed",
            stage,
            id=workflow_id,
            task_queue=_QUEUE,
            search_attributes=all_search_attributes(TypedSearchAttributes.empty, state),
        )
        return workflow_id

    async with _seeder(env.temporal, await worker_signer(env.owner)):
        return await _start_all(env.ours, seed, rows)


async def seed_plain(
    env: BenchmarkEnvironment, number: int, paid_from: datetime, ahead: timedelta = timedelta(0)
) -> list[str]:
    """Start baseline workflows in the paid month that began at `paid_from`."""

    async def seed(_: int) -> str:
        request = plain_request(env.book)
        workflow_id = "plain-" + request.subscription_id
        await env.plain_temporal.start_workflow(
            plain.PlainSubscription.run,
            Start(request, paid_from, ahead.total_seconds()),
            id=workflow_id,
            task_queue=plain.TASK_QUEUE,
        )
        return workflow_id

    return await _start_all(env.plain, seed, range(number))


async def _start_all(
    implementation: Implementation, seed: Callable[[Any], Awaitable[str]], items: Sequence[Any]
) -> list[str]:
    """Start all workflows, then wait until they are idle.

    All are started before the first wait, because Temporal delays the run after a very short one by a second.
    """
    places = asyncio.Semaphore(_CONCURRENCY)

    async def start(item: Any) -> str:
        async with places:
            return await seed(item)

    async def wait_until_idle(workflow_id: str) -> None:
        async with places:
            await implementation.idle_since(workflow_id)

    ids = await asyncio.gather(*map(start, items))
    # Wait for the last one alone first: polling all of them would slow down the server while they start.
    for batch in (ids[-1:], ids):
        await asyncio.gather(*map(wait_until_idle, batch))
    return ids


def _seeder(temporal: Client, signer: MessageSigner) -> Worker:
    return Worker(
        temporal,
        task_queue=_QUEUE,
        workflows=[Seed],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[SigningInterceptor(signer)],
        identity=f"seeder-{uuid.uuid4()}",
        build_id="seeder",
    )
