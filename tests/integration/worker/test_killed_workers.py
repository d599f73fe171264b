"""SIGKILL at chosen points: the next worker finishes each interrupted step exactly once.

Each subscription is stopped at its point from outside: by a trigger of the test in PostgreSQL, by a locked
row, by a closed proxy to Temporal, or by a server that delays the start of a new run. Then the worker, a
process as operators run it, is killed, and the next worker must finish the step. The subscriptions are
killed together, because each of them waits ten seconds for the timeout.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.blocking_triggers import BlockingTriggers, holds_in
from support.data_search import is_deleted_from_workflow
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, catalogue_text, open_service_env, unique_name
from support.sticky_task_queues import forget_worker
from support.subscription_driver import SubscriptionDriver
from support.tcp_proxy import TcpProxy
from support.worker_process import WorkerProcess, worker_process
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from activities.erasure import PERSONAL_DATA
from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.stack import EmbeddedStack
from dev_stack.temporal_server import TemporalServer
from starter.requests import subscription_id_for
from subscription.business_calendar import start_of
from subscription.ledger import LineKind
from subscription.refusals import RefusalCode
from subscription.state import State
from subscription.timeline import Answer

# Minimum time between the starts of two runs: after continue-as-new, the next run waits for the rest of it.
BETWEEN_RUNS = 'history.workflowIdReuseMinimalInterval="12s"'

ERASING = (
    "workspaces/DELETE",
    "account_names/DELETE",
    "event_private_data/DELETE",
    "lifecycle_events/INSERT/ERASED",
    "erasure_certificates/INSERT/DATABASE",
    "erasure_certificates/INSERT/HISTORIES",
)
"""A worker is killed after each of these erasure steps; the last one is in the workflow's last run.

Most tables are deleted from by one function of the database, so that two of them stand for the others.
"""

FEE = "lifecycle_events/INSERT/SERVICE_FEES_POSTED"
MONTHLY = 60_000
"""The monthly fee in KRW of ten members on the plan basic with an annual contract."""


@pytest.fixture
async def service_env(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[ServiceEnv]:
    """Open an environment without a worker, on its own server."""
    async with TemporalServer(
        tmp_path / "temporal", search_attributes={}, dynamic_config=[BETWEEN_RUNS]
    ) as server:
        temporal = await Client.connect(server.address, data_converter=data_converter())
        await register_search_attributes(temporal)
        async with open_service_env(stack, temporal, works=False, task_queue=TASK_QUEUE) as opened:
            yield opened


async def test_interrupted_step_runs_exactly_once(service_env: ServiceEnv, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(catalogue_text())
    settings = {
        "DATABASE_URL": service_env.worker_url,
        "TEMPORAL_ADDRESS": service_env.temporal.service_client.config.target_host,
        "WORKSUB_CATALOGUE": str(tmp_path / "catalogue.toml"),
        "WORKSUB_DNS_RESOLVERS": service_env.dns.address,
    }
    working = partial(worker_process, home=tmp_path)
    async with holds_in(service_env) as holds, TcpProxy() as proxy:
        async with working(settings) as worker:
            domains = [{"domain": f"{unique_name('erased')}.example"} for _ in ERASING]
            switching, leaving, charged, *erased = await gather_all(
                [
                    *(service_env.requested() for _ in range(3)),
                    *(service_env.requested(account=name) for name in domains),
                ]
            )
            for step, subscription in zip(ERASING, erased, strict=True):
                await holds.hold(f"{step}/{subscription.id}")
            today = await charged.today()
            switched = {"date": f"{today}", "term": "ANNUAL"}
            await gather_all(
                subscription.send("switch_to_paid", **switched) for subscription in (leaving, charged)
            )
            ends = [
                asyncio.create_task(subscription.send("cancel", date=f"{today}", id="end"))
                for subscription in erased
            ]
            for step, subscription in zip(ERASING, erased, strict=True):
                await holds.has_stopped(f"{step}/{subscription.id}")
            await wait_for("the second run has begun", partial(is_in_its_second_run, charged))
            await kill(service_env, worker, [switching, leaving, charged, *erased])
        await holds.let_go()

        proxy.leads_to(settings["TEMPORAL_ADDRESS"])
        async with (
            working({**settings, "TEMPORAL_ADDRESS": proxy.address}) as worker,
            locked(service_env, "subscriptions", switching),
            locked(service_env, "workspaces", leaving),
        ):
            switch = asyncio.create_task(switching.send("switch_to_paid", **switched, id="switch"))
            cancellation = {"date": f"{today}", "confirmation": await leaving.confirmation(), "id": "leave"}
            leave = asyncio.create_task(leaving.send("cancel", **cancellation))
            unheard, nameless, requesting = await start_interrupted_requests(service_env, holds)
            claiming, proofs = await start_interrupted_proofs(service_env, holds)
            await wait_for("the switch is accepted", partial(has_accepted_an_update, switching))
            await wait_for("the cancellation is committed", partial(is_recorded, leaving, "CANCELED"))
            resting = await service_env.requested()
            await resting.send("rename_account", group=unique_name("resting"))
            await wait_for("a run has ended before the next one", partial(is_between_two_runs, resting))
            passing = await commit_unreported_fee(charged, holds, proxy)
            named = [switching, leaving, charged, resting, unheard, *claiming]
            await kill(service_env, worker, [*named, nameless])
        assert [task.done() for task in (requesting, switch, leave, passing)] == [False] * 4
        assert await is_between_two_runs(resting)
        assert await switching.events() == ["TRIAL_STARTED"]
        assert [await subscription.events() for subscription in claiming] == [["TRIAL_STARTED"]] * 2
        # One has a row that its workflow does not know of; one had reserved its name, and has neither.
        assert await reserved_names(service_env) - {subscription.id for subscription in erased} == {
            subscription.id for subscription in named
        }
        assert (await charged.history())[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
        [fee] = await fees_recorded(service_env, charged)
        early = asyncio.create_task(unheard.send("switch_to_paid", **switched, id="early"))
        await holds.let_go()

        async with working(settings):
            await requesting
            assert await nameless.events() == ["TRIAL_STARTED"]
            assert await resting.events() == ["TRIAL_STARTED", "ACCOUNT_RENAMED"]
            for answer, subscription in ((early, unheard), (switch, switching)):
                assert (await answer).state is State.ACTIVE
                assert await subscription.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]
            assert [line.kind for line in (await leave).ledger] == [LineKind.EARLY_TERMINATION_FEE]
            await leaving.has_closed()
            assert await leaving.ledger() == list((await leave).ledger)
            assert await leaving.send("cancel", **cancellation) == await leave
            other = await leaving.expect_refusal(
                "cancel", **{**cancellation, "confirmation": "another account"}
            )
            assert other.code is RefusalCode.COMMAND_ID_REUSED
            await passing
            assert await fees_recorded(service_env, charged) == [fee]
            await check_later_fees(charged, today)
            await asyncio.gather(*ends)
            await gather_all(subscription.has_closed() for subscription in erased)
            for subscription in erased:
                await is_erased_once(service_env, subscription)
            assert await reserved_names(service_env) == {
                subscription.id
                for subscription in (nameless, resting, unheard, switching, charged, *claiming)
            }
            recorded = [entry.event for answer in await proofs for entry in answer.events]
            assert sorted(recorded) == ["DOMAIN_CONFIRMED", "DOMAIN_LOST"]
            for subscription, event in zip(claiming, recorded, strict=True):
                assert await subscription.events() == ["TRIAL_STARTED", event]
            for subscription in (switching, charged):
                assert await subscription.failed_tasks() == []


async def start_interrupted_requests(
    service_env: ServiceEnv, holds: BlockingTriggers
) -> tuple[SubscriptionDriver, SubscriptionDriver, "asyncio.Future[list[None]]"]:
    """Stop two requests in the middle; return their subscriptions and the task of both requests.

    The first is recorded, but its activity has not returned; the second has its name, and no row yet.
    """
    unheard, nameless = (unstarted(service_env, service_env.request_body()) for _ in range(2))
    recorded, named = (
        f"workspaces/INSERT/{unheard.id}",
        f"lifecycle_events/INSERT/TRIAL_STARTED/{nameless.id}",
    )
    for key in (recorded, named):
        await holds.hold(key)

    async def requested(subscription: SubscriptionDriver) -> None:
        assert (await service_env.client.request(subscription.request)).subscription_id == subscription.id

    requesting = asyncio.gather(*map(requested, (unheard, nameless)))
    await holds.has_stopped(recorded)
    await requested(unheard)  # read from the database
    assert not requesting.done()
    await holds.has_stopped(named)
    return unheard, nameless, requesting


async def start_interrupted_proofs(
    service_env: ServiceEnv, holds: BlockingTriggers
) -> tuple[list[SubscriptionDriver], "asyncio.Future[list[Answer]]"]:
    """Stop a subscription after it has taken its domain, while another one waits for the same domain (R12).

    Return both subscriptions, and the task of their domain checks.
    """
    domain = {"domain": f"{unique_name('claimed')}.example"}
    first, second = claiming = await gather_all(service_env.requested(account=domain) for _ in range(2))
    for subscription in claiming:
        await subscription.client.settle(subscription.id)
        [proof] = (await subscription.status()).proofs
        service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    confirmed = f"lifecycle_events/INSERT/DOMAIN_CONFIRMED/{first.id}"
    await holds.hold(confirmed)
    checks = [asyncio.create_task(first.send("check_domain", id="proof"))]
    await holds.has_stopped(confirmed)
    checks.append(asyncio.create_task(second.send("check_domain", id="proof")))
    await wait_for("the other waits for the domain", partial(waits_for_row_lock, service_env))
    return claiming, asyncio.gather(*checks)


async def waits_for_row_lock(service_env: ServiceEnv) -> bool:
    return bool(
        await service_env.owner.fetchval(
            """
            SELECT EXISTS (SELECT FROM pg_stat_activity
                            WHERE datname = current_database() AND wait_event_type = 'Lock'
                              AND query LIKE '%FROM account_names%FOR UPDATE%')
            """
        )
    )


async def commit_unreported_fee(
    charged: SubscriptionDriver, holds: BlockingTriggers, proxy: TcpProxy
) -> "asyncio.Task[bool]":
    """Let a worker commit fees that it cannot report to Temporal; return the task that moves the clock.

    The write is a local activity, which is reported only with the completion of the workflow task.
    """
    await holds.hold(f"{FEE}/{charged.id}")
    first = next_month(await charged.today())
    passing = asyncio.create_task(charged.clock.advance_to(start_of(first + timedelta(days=1))))
    await holds.has_stopped(f"{FEE}/{charged.id}")
    proxy.closes()
    await holds.let_go(f"{FEE}/{charged.id}")
    await wait_for("the fee is committed", partial(is_recorded, charged, "SERVICE_FEES_POSTED"))
    return passing


async def fees_recorded(service_env: ServiceEnv, subscription: SubscriptionDriver) -> list[asyncpg.Record]:
    """Return its service-fee events with their ledger lines and times of writing."""
    return await service_env.owner.fetch(
        """
        SELECT * FROM lifecycle_events AS event JOIN ledger_lines AS line USING (subscription_id, sequence)
         WHERE subscription_id = $1 AND event.event = 'SERVICE_FEES_POSTED'
        """,
        subscription.id,
    )


async def check_later_fees(charged: SubscriptionDriver, today: date) -> None:
    """Check that the first month is on one line, and that the next month is also charged."""
    first = next_month(today)
    second = next_month(first)
    await charged.advance_clock_to(start_of(second + timedelta(days=1)))
    days = (first - today).days
    assert await charged.ledger_tuples() == [
        ("SERVICE_FEE", f"{today}", f"{first}", MONTHLY * days // (today.day - 1 + days)),
        ("SERVICE_FEE", f"{first}", f"{second}", MONTHLY),
    ]
    fees = ["SERVICE_FEES_POSTED"] * 2
    assert await charged.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID", *fees]


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def unstarted(service_env: ServiceEnv, body: dict[str, Any]) -> SubscriptionDriver:
    return SubscriptionDriver(
        service_env.client, service_env.temporal, subscription_id_for(body["request_id"]), body
    )


async def kill(
    service_env: ServiceEnv, worker: WorkerProcess, subscriptions: Iterable[SubscriptionDriver]
) -> None:
    """Kill the worker that has these subscriptions cached."""
    worker.send(signal.SIGKILL)
    assert await worker.exit_code() == -signal.SIGKILL
    await forget_worker(service_env.temporal, (subscription.workflow_id for subscription in subscriptions))


async def is_in_its_second_run(subscription: SubscriptionDriver) -> bool:
    return len(await subscription.run_ids()) == 2 and not await is_between_two_runs(subscription)


async def is_between_two_runs(subscription: SubscriptionDriver) -> bool:
    """Return whether it has continued as new, and no task of the new run has started."""
    events = await subscription.history()
    first = events[0].workflow_execution_started_event_attributes
    begun = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED in [event.event_type for event in events]
    return bool(first.continued_execution_run_id) and not begun


async def reserved_names(service_env: ServiceEnv) -> set[str]:
    """Return the subscriptions with a committed name."""
    rows = await service_env.owner.fetch("SELECT subscription_id FROM account_names")
    return {row["subscription_id"] for row in rows}


@asynccontextmanager
async def locked(
    service_env: ServiceEnv, table: str, subscription: SubscriptionDriver
) -> AsyncIterator[None]:
    """Lock the row of the subscription in this table."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            f"SELECT FROM {table} WHERE subscription_id = $1 FOR UPDATE", subscription.id
        )
        yield


async def has_accepted_an_update(subscription: SubscriptionDriver) -> bool:
    accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return accepted in [event.event_type for event in await subscription.history()]


async def is_recorded(subscription: SubscriptionDriver, event: str) -> bool:
    return event in await subscription.events()


async def is_erased_once(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    assert await subscription.events() == ["TRIAL_STARTED", "CANCELED", "ERASED"]
    database, histories = await subscription.client.certificates(subscription.id)
    once = dict.fromkeys(
        (
            *("account_names", "administrators", "companies", "workspaces", "domain_tokens"),
            *("event_private_data", "notice_emails"),
        ),
        1,
    )
    assert {table: rows for table, rows in database.rows.items() if rows} == once
    assert histories.rows == {"workflow_runs": 1}
    for table in PERSONAL_DATA:
        query = f"SELECT count(*) FROM {table} WHERE subscription_id = $1"
        assert await service_env.owner.fetchval(query, subscription.id) == 0
    await is_deleted_from_workflow(
        service_env.temporal, subscription.workflow_id, [subscription.request["account"]["domain"]]
    )
