"""Workflows asleep by the thousand, each as it is in the middle of a life that nobody had the time to live.

Ours takes up a life only from an earlier run, so the earlier run is a workflow of the bench, which does
nothing but go on as `SubscriptionWorkflow`, with the search attributes that it has from its start. The plain
one takes up a life by its argument.
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

from adapters.postgres.worker_keys import worker_seals
from adapters.temporal.client import TASK_QUEUE
from benchmarks.baseline_temporal import workflow as plain
from benchmarks.baseline_temporal.tables import Start
from benchmarks.environment import Ground
from benchmarks.implementations import Side, plain_request
from subscription.catalogue import PriceBook
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.message_authentication import Seals
from subscription.state import Subscription
from workflows.interceptors.message_authentication import SealingInterceptor
from workflows.run_input import ResumeInput
from workflows.search_attributes import all_search_attributes

_QUEUE = "seeds"
_AT_ONCE = 20


@workflow.defn(name="Seed")
class Seed:
    """The earlier run."""

    @workflow.run
    async def run(self, stage: dict[str, Any]) -> None:
        resumed = {**stage, "run_ids": [workflow.info().run_id]}
        workflow.continue_as_new(args=[resumed], workflow="SubscriptionWorkflow", task_queue=TASK_QUEUE)


async def seed_ours(
    ground: Ground, ids: Sequence[str], book: PriceBook, ahead: timedelta | None = None
) -> list[str]:
    """Workflows that stand as the record has it, with a clock so far ahead; a worker must be there."""
    rows = await ground.owner.fetch(
        "SELECT subscription_id, snapshot FROM subscriptions WHERE subscription_id = ANY($1)", ids
    )

    async def seed(row: asyncpg.Record) -> str:
        workflow_id: str = WORKFLOW_ID_PREFIX + row["subscription_id"]
        state = Subscription.model_validate_json(row["snapshot"])
        stage = ResumeInput(
            state=state,
            book=book,
            clock_offset=ahead,
            run_ids=(),
            timeline=(),
            request_fingerprint="",
        )
        await ground.temporal.start_workflow(
            "Seed",
            stage,
            id=workflow_id,
            task_queue=_QUEUE,
            search_attributes=all_search_attributes(TypedSearchAttributes.empty, state),
        )
        return workflow_id

    async with _seeder(ground.temporal, await worker_seals(ground.owner)):
        return await _asleep(ground.ours, seed, rows)


async def seed_plain(
    ground: Ground, number: int, paid_from: datetime, ahead: timedelta = timedelta(0)
) -> list[str]:
    """Workflows in a month that was paid from then on."""

    async def seed(_: int) -> str:
        request = plain_request(ground.book)
        workflow_id = "plain-" + request.subscription_id
        await ground.plain_temporal.start_workflow(
            plain.PlainSubscription.run,
            Start(request, paid_from, ahead.total_seconds()),
            id=workflow_id,
            task_queue=plain.TASK_QUEUE,
        )
        return workflow_id

    return await _asleep(ground.plain, seed, range(number))


async def _asleep(side: Side, seed: Callable[[Any], Awaitable[str]], wanted: Sequence[Any]) -> list[str]:
    """All are started first: Temporal waits a second before the run that follows a very short one."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def seeded(each: Any) -> str:
        async with places:
            return await seed(each)

    async def asleep(workflow_id: str) -> None:
        async with places:
            await side.asleep_since(workflow_id)

    ids = await asyncio.gather(*map(seeded, wanted))
    # The last one is asked for alone: while they fall asleep, each question costs the server as much as that.
    for begun in (ids[-1:], ids):
        await asyncio.gather(*map(asleep, begun))
    return ids


def _seeder(temporal: Client, seals: Seals) -> Worker:
    return Worker(
        temporal,
        task_queue=_QUEUE,
        workflows=[Seed],
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[SealingInterceptor(seals)],
        identity=f"seeder-{uuid.uuid4()}",
    )
