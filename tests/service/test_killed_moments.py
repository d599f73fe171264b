"""SIGKILL at moments chosen by hand: whatever was half done is done once, by the worker that comes next.

Each life is brought to its moment and stopped there, from the outside: by a trigger of the test's own in
PostgreSQL, by a row that the test has locked, or by a server that lets a new run begin only after seconds.
Then the worker, a process as operators run it, is killed; the next one has to finish what was begun.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from activities.erasure import PERSONAL_DATA
from starter.embedded.stack import EmbeddedStack
from starter.embedded.temporal_server import TemporalServer
from starter.requesting import subscription_id_for
from subscription.ledger import LineKind
from subscription.state import State
from workflows.connection import TASK_QUEUE
from workflows.converter import data_converter
from workflows.registration import register_search_attributes

from .holding import Holds, holds_in
from .house import House, catalogue_text, fresh, open_house
from .lives import Life
from .processes import WorkerProcess, worker_process
from .searching import is_gone_from_workflow
from .waiting import eventually, together

# A run that goes on in a new one within so long of its start has its successor wait for the rest of it.
BETWEEN_RUNS = 'history.workflowIdReuseMinimalInterval="4s"'

ERASING = (
    "workspaces/DELETE",
    "account_names/DELETE",
    "administrators/DELETE",
    "companies/DELETE",
    "domain_tokens/DELETE",
    "event_notes/DELETE",
    "lifecycle_events/INSERT/ERASED",
    "erasure_certificates/INSERT/DATABASE",
    "erasure_certificates/INSERT/HISTORIES",
)
"""After each of these steps of an erasure a worker dies: the last one is in the last run of the workflow."""


@pytest.fixture
async def house(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[House]:
    """A house without a worker, on a server of its own."""
    async with TemporalServer(
        tmp_path / "temporal", search_attributes={}, dynamic_config=[BETWEEN_RUNS]
    ) as server:
        temporal = await Client.connect(server.address, data_converter=data_converter())
        await register_search_attributes(temporal)
        async with open_house(stack, temporal, works=False, task_queue=TASK_QUEUE) as opened:
            yield opened


async def test_what_was_half_done_is_done_once(house: House, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(catalogue_text())
    settings = {
        "DATABASE_URL": house.database_url,
        "TEMPORAL_ADDRESS": house.temporal.service_client.config.target_host,
        "WORKSUB_CATALOGUE": str(tmp_path / "catalogue.toml"),
        "WORKSUB_DNS_RESOLVERS": house.dns.address,
    }
    working = partial(worker_process, settings, tmp_path)
    async with holds_in(house) as holds:
        async with working() as worker:
            erased, switching, leaving, unheard, requesting = await are_requested(house, holds)
            resting = await house.requested()
            begun = [*erased, switching, leaving, resting]
            await resting.asks("rename_account", group=fresh("resting"))
            await eventually("a run is over, and the next not begun", partial(is_between_two_runs, resting))
            await dies(worker)
        assert await is_between_two_runs(resting)
        # One has its record, of which its workflow has not heard; one had taken its name, and has neither.
        assert await names_held(house) == {life.id for life in (*begun, unheard)}
        today = f"{await leaving.today()}"
        early = asyncio.create_task(unheard.asks("switch_to_paid", date=today, term="ANNUAL", id="early"))
        await holds.let_go()

        async with working() as worker:
            lives = [*begun, (await requesting)[0]]
            for life in lives:
                renamed = ["ACCOUNT_RENAMED"] if life is resting else []
                assert await life.events() == ["TRIAL_STARTED", *renamed]
            assert (await early).state is State.ACTIVE
            assert await unheard.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]
            assert await names_held(house) == {life.id for life in (*lives, unheard)}
            await leaving.asks("switch_to_paid", date=today, term="ANNUAL")
            async with (
                locked(house, "subscriptions", switching),
                locked(house, "workspaces", leaving),
            ):
                switch = asyncio.create_task(
                    switching.asks("switch_to_paid", date=today, term="ANNUAL", id="switch")
                )
                leave = asyncio.create_task(leaving.asks("cancel", date=today, id="leave"))
                await eventually("the switch is accepted", partial(has_accepted_an_update, switching))
                await eventually("the cancellation is committed", partial(is_recorded, leaving, "CANCELED"))
                assert (switch.done(), leave.done()) == (False, False)
                await dies(worker)
            assert await switching.events() == ["TRIAL_STARTED"]

        for step, life in zip(ERASING, erased, strict=True):
            await holds.hold(f"{step}/{life.id}")
        async with working() as worker:
            assert (await switch).state is State.ACTIVE
            assert await switching.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]
            assert [line.kind for line in (await leave).ledger] == [LineKind.EARLY_TERMINATION_FEE]
            await leaving.has_closed()
            assert await leaving.ledger() == list((await leave).ledger)
            again = await leaving.asks("cancel", date=today, confirmation="…", id="leave")
            assert again == await leave
            ends = [asyncio.create_task(life.asks("cancel", date=today, id="end")) for life in erased]
            for step, life in zip(ERASING, erased, strict=True):
                await holds.has_stopped(f"{step}/{life.id}")
            await dies(worker)
        await holds.let_go()

        async with working():
            await asyncio.gather(*ends)
            await together(life.has_closed() for life in erased)
            for life in erased:
                await is_erased_once(house, life)
            assert await switching.failed_tasks() == []


async def are_requested(
    house: House, holds: Holds
) -> tuple[list[Life], Life, Life, Life, "asyncio.Future[tuple[Life, Life]]"]:
    """Lives to be erased, one that will switch, one that will leave, and two that are stopped on the way.

    The first of these is recorded, and the activity that did it has not answered; the second has its name,
    and no record yet.
    """
    unheard, nameless = (unstarted(house, house.request_body()) for _ in range(2))
    recorded, named = (
        f"workspaces/INSERT/{unheard.id}",
        f"lifecycle_events/INSERT/TRIAL_STARTED/{nameless.id}",
    )
    for key in (recorded, named):
        await holds.hold(key)

    async def requested(life: Life) -> Life:
        assert (await house.client.request(life.request)).subscription_id == life.id
        return life

    requesting = asyncio.gather(requested(nameless), requested(unheard))
    await holds.has_stopped(recorded)
    assert (await requested(unheard), requesting.done()) == (unheard, False)  # from the record
    domains = [{"domain": f"{fresh('erased')}.example"} for _ in ERASING]
    switching, leaving, *erased = await together(
        [house.requested(), house.requested(), *(house.requested(account=domain) for domain in domains)]
    )
    await holds.has_stopped(named)
    return erased, switching, leaving, unheard, requesting


def unstarted(house: House, body: dict[str, Any]) -> Life:
    return Life(house.client, house.temporal, subscription_id_for(body["request_id"]), body)


async def dies(worker: WorkerProcess) -> None:
    worker.send(signal.SIGKILL)
    assert await worker.exit_code() == -signal.SIGKILL


async def is_between_two_runs(life: Life) -> bool:
    """Whether it has gone on in a new run, of which no task has begun."""
    events = await life.history()
    first = events[0].workflow_execution_started_event_attributes
    begun = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED in [event.event_type for event in events]
    return bool(first.continued_execution_run_id) and not begun


async def names_held(house: House) -> set[str]:
    """Who holds a name, by what is committed."""
    rows = await house.owner.fetch("SELECT subscription_id FROM account_names")
    return {row["subscription_id"] for row in rows}


@asynccontextmanager
async def locked(house: House, table: str, life: Life) -> AsyncIterator[None]:
    """Nobody else gets at this row."""
    async with house.owner.acquire() as connection, connection.transaction():
        await connection.execute(f"SELECT FROM {table} WHERE subscription_id = $1 FOR UPDATE", life.id)
        yield


async def has_accepted_an_update(life: Life) -> bool:
    accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return accepted in [event.event_type for event in await life.history()]


async def is_recorded(life: Life, event: str) -> bool:
    return event in await life.events()


async def is_erased_once(house: House, life: Life) -> None:
    assert await life.events() == ["TRIAL_STARTED", "CANCELED", "ERASED"]
    database, histories = await life.client.certificates(life.id)
    once = dict.fromkeys(
        ("account_names", "administrators", "companies", "workspaces", "domain_tokens", "event_notes"), 1
    )
    assert {table: rows for table, rows in database.rows.items() if rows} == once
    assert histories.rows == {"workflow_runs": 1}
    for table in PERSONAL_DATA:
        query = f"SELECT count(*) FROM {table} WHERE subscription_id = $1"
        assert await house.owner.fetchval(query, life.id) == 0
    await is_gone_from_workflow(house.temporal, life.workflow_id, [life.request["account"]["domain"]])
