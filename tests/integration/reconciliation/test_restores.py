"""One side was restored from a backup or is lost, and the other one has the missing data."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.corruption import Backup, delete_all_histories, delete_run, reset_to_run_start, stored_rows
from support.lock_waits import wait_for_blocked_sessions
from support.namespaces import new_namespace
from support.polling import gather_all, wait_for
from support.reconcile_job import codes, found, gets_attention, needs_attention
from support.service_env import ServiceEnv, catalogue, open_service_env, publish, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.postgres import catalogue_repository
from adapters.postgres.catalogue_repository import PublishingError
from adapters.postgres.price_book_repository import load_price_book
from dev_stack.stack import EmbeddedStack
from integration.requests.test_catalogues import DEARER
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue
from subscription.state import State


async def paid(service_env: ServiceEnv) -> SubscriptionDriver:
    """Return a subscription with a ledger line, and ahead of the real clock, so that no deadline is due."""
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    await month_passes(subscription)
    return subscription


async def month_passes(subscription: SubscriptionDriver) -> None:
    """Advance the clock past the start of a month, and the billing window after it."""
    await subscription.advance_clock_to(await subscription.clock.now() + timedelta(days=32))


async def is_cancelled_today(subscription: SubscriptionDriver) -> None:
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()


async def test_restored_database_catches_up_with_workflows(
    isolated_env: ServiceEnv,
) -> None:
    untouched, busy, left, corrected = await gather_all(paid(isolated_env) for _ in range(4))
    backup = await Backup.of(isolated_env)

    await busy.send("upgrade", members=20, id="more")
    await busy.send("rename_account", group=unique_name("renamed"), by="somebody")
    await month_passes(busy)
    await is_cancelled_today(left)
    key = (await corrected.ledger())[0].key
    await isolated_env.client.adjust(
        {
            "subscription_id": corrected.id,
            "id": "T-1",
            "key": key,
            "amount": -100,
            "reason": "GOODWILL",
            "reference": "T-1",
        }
    )
    new = await paid(isolated_env)
    subscriptions = (untouched, busy, corrected, new)
    before = [await stored_rows(isolated_env, subscription) for subscription in subscriptions]
    ending = await stored_rows(isolated_env, left)

    await backup.is_restored()
    # A client sends a command before an operator has detected the loss.
    pending_command = asyncio.create_task(busy.send("change_renewal_option", term="ANNUAL", id="option"))
    await wait_for("the command has diverged", lambda: is_diverged(busy))

    assert await codes(isolated_env) == {
        busy.id: [("EVENT_MISSING", True)],
        left.id: [("END_MISSING", True)],
        corrected.id: [("ADJUSTMENT_MISSING", True)],
        new.id: [("ROW_MISSING", True)],
    }

    assert (await pending_command).message.startswith("The next contract")
    assert (await busy.events())[-1] == "RENEWAL_OPTION_CHANGED"
    for subscription, known in zip(subscriptions, before, strict=True):
        if subscription is not busy:
            assert await stored_rows(isolated_env, subscription) == known
    assert (await stored_rows(isolated_env, busy))["ledger_lines"] == before[1]["ledger_lines"]
    assert await found(isolated_env) == []
    # The recalculated data is the same, and no personal data is back.
    # Except the number of erased rows, the response to the cancellation and its channel, which are lost.
    unknown: dict[str, list[Any]] = {"erasure_certificates": [], "command_answers": []}
    assert (
        without_channel(await stored_rows(isolated_env, left)) | unknown == without_channel(ending) | unknown
    )
    assert (await left.status()).state is State.ERASED


async def test_concurrent_runs_restore_an_adjustment_once(isolated_env: ServiceEnv) -> None:
    subscription = await paid(isolated_env)
    backup = await Backup.of(isolated_env)
    wanted = {
        "subscription_id": subscription.id,
        "id": "T-1",
        "key": (await subscription.ledger())[0].key,
        "amount": -100,
    }
    await isolated_env.client.adjust({**wanted, "reason": "GOODWILL", "reference": "T-1"})
    known = await stored_rows(isolated_env, subscription)
    await backup.is_restored()

    async with (
        asyncio.TaskGroup() as group,
        isolated_env.owner.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute(
            "SELECT FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", subscription.id
        )
        runs = [group.create_task(found(isolated_env)) for _ in range(2)]
        await wait_for_blocked_sessions(isolated_env.owner, 2)
    findings = [finding for run in runs for finding in run.result()]
    assert {(each.code.value, each.repaired) for each in findings} == {("ADJUSTMENT_MISSING", True)}
    assert await stored_rows(isolated_env, subscription) == known


async def dearer_since_a_month(isolated_env: ServiceEnv) -> Catalogue:
    """Publish a version with a past effective date, as if on that date."""
    today: datetime = await isolated_env.pool.fetchval("SELECT clock_timestamp()")
    newer = catalogue("dearer", f"{day_of(today) - timedelta(days=30)}", **DEARER)
    assert await publish(isolated_env.pool, newer)
    return newer


async def test_missing_catalogue_version_is_restored_from_workflows(
    isolated_env: ServiceEnv,
) -> None:
    untouched, busy = await gather_all(paid(isolated_env) for _ in range(2))
    backup = await Backup.of(isolated_env)
    newer = await dearer_since_a_month(isolated_env)
    await busy.send("upgrade", members=20)
    new = await paid(isolated_env)
    subscriptions = (untouched, busy, new)
    book, before = (
        await load_price_book(isolated_env.pool),
        [await stored_rows(isolated_env, subscription) for subscription in subscriptions],
    )
    await backup.is_restored()
    with pytest.raises(PublishingError, match=r"effective_from: Set the day of publication"):
        await catalogue_repository.publish(isolated_env.pool, newer)

    assert await codes(isolated_env) == {
        busy.id: [("CATALOGUE_MISSING", True), ("EVENT_MISSING", True)],
        new.id: [("ROW_MISSING", True)],
    }

    assert await load_price_book(isolated_env.pool) == book
    assert [await stored_rows(isolated_env, subscription) for subscription in subscriptions] == before
    assert not await catalogue_repository.publish(isolated_env.pool, newer)
    assert await found(isolated_env) == []


async def test_workflow_records_nothing_at_lost_prices(
    isolated_env: ServiceEnv,
) -> None:
    """Its refusal came after a check for newer prices, and recorded nothing."""
    subscription = await paid(isolated_env)
    backup = await Backup.of(isolated_env)
    await dearer_since_a_month(isolated_env)
    await subscription.expect_refusal("upgrade", plan="no-such-plan")
    await backup.is_restored()
    pending_command = asyncio.create_task(subscription.send("change_renewal_option", term="ANNUAL"))
    await wait_for("it is not recorded", lambda: is_diverged(subscription))

    assert await codes(isolated_env) == {subscription.id: [("CATALOGUE_MISSING", True)]}

    await pending_command
    assert await found(isolated_env) == []


async def test_replaced_catalogue_version_is_left_to_operator(
    isolated_env: ServiceEnv,
) -> None:
    """Another version was published in the place of the one that the backup lacks."""
    subscription = await paid(isolated_env)
    backup = await Backup.of(isolated_env)
    await dearer_since_a_month(isolated_env)
    await subscription.send("upgrade", members=20)
    await backup.is_restored()
    assert await publish(isolated_env.pool, catalogue("other", "2040-01-01", **DEARER))
    found_codes = await codes(isolated_env)
    assert found_codes == {subscription.id: [("CATALOGUE_MISSING", False), ("EVENT_MISSING", True)]}


async def test_r31_certified_erasure_is_repeated_for_any_backup(
    isolated_env: ServiceEnv,
) -> None:
    subscription = await paid(isolated_env)
    backup = await Backup.of(isolated_env)
    await is_cancelled_today(subscription)
    ending, certificates = (
        await stored_rows(isolated_env, subscription),
        await subscription.client.certificates(subscription.id),
    )
    await delete_all_histories(subscription)
    await isolated_env.owner.execute("CREATE TABLE apart AS TABLE erasure_certificates")
    await backup.is_restored()
    await isolated_env.owner.execute("INSERT INTO erasure_certificates TABLE apart")

    assert await codes(isolated_env) == {subscription.id: [("END_MISSING", True)]}

    unknown: dict[str, list[Any]] = {"command_answers": []}
    restored = without_channel(await stored_rows(isolated_env, subscription))
    assert restored | unknown == without_channel(ending) | unknown
    assert await subscription.client.certificates(subscription.id) == certificates
    assert await found(isolated_env) == []


def without_channel(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Remove the channels of events: that of a cancellation is lost with its history."""
    events = [{**event, "channel": None} for event in rows["lifecycle_events"]]
    return {**rows, "lifecycle_events": events}


async def is_diverged(subscription: SubscriptionDriver) -> bool:
    pending = (await subscription.handle.describe()).raw_description.pending_activities
    return any(each.last_failure.application_failure_info.type == "RECORD_DIVERGED" for each in pending)


async def test_name_taken_by_another_customer_is_left_to_operator(
    isolated_env: ServiceEnv,
) -> None:
    backup = await Backup.of(isolated_env)
    first = await paid(isolated_env)
    await backup.is_restored()
    second = await isolated_env.requested(account=first.request["account"])

    assert await codes(isolated_env) == {first.id: [("NAME_DIFFERS", False), ("ROW_MISSING", True)]}

    await gets_attention(first)
    assert not await needs_attention(second)
    assert await codes(isolated_env) == {first.id: [("NAME_DIFFERS", False)]}
    await first.send("rename_account", group=unique_name("renamed"))
    assert await found(isolated_env) == []
    await gets_attention(first, needed=False)


async def test_data_in_no_history_is_reported_and_not_charged_again(
    isolated_env: ServiceEnv,
) -> None:
    subscription = await isolated_env.paid("2024-01-10 09:00", term="MONTHLY")
    await subscription.advance_to("2024-12-15 00:00")
    backup = await Backup.of(isolated_env)
    ledger = await subscription.ledger()
    # Six months end, a new run starts, and the earlier histories are deleted after their retention.
    await subscription.advance_to("2025-06-15 00:00")
    for run in (await subscription.has_run(4))[:3]:
        await delete_run(subscription, run)
    await backup.is_restored()

    [finding] = await found(isolated_env)

    # 24 events in eleven months; then the fees of six months, and the periods from 10 January to 10 June.
    assert (finding.code, finding.repaired) == ("EVENT_MISSING", False)
    assert finding.message == "The database lacks event 25 to 36."
    assert await subscription.ledger() == ledger
    await gets_attention(subscription)
    # The subscription continues from its state, and the gap is reported until it is corrected.
    await subscription.advance_to("2025-07-01 00:00")
    assert (await subscription.ledger_tuples())[len(ledger) :] == [
        ("SERVICE_FEE", "2025-06-01", "2025-07-01", 72_000)
    ]
    assert [(each.code, each.message) for each in await found(isolated_env)] == [
        (finding.code, finding.message)
    ]


async def test_restored_server_catches_up_with_database(isolated_env: ServiceEnv) -> None:
    quiet, commanded, waiting = await gather_all(paid(isolated_env) for _ in range(3))
    for subscription in (quiet, commanded, waiting):
        await subscription.send("upgrade", members=20, id="more")
    for subscription in (commanded, waiting):
        await month_passes(subscription)
    before = [await stored_rows(isolated_env, subscription) for subscription in (quiet, commanded)]
    events, ledger = await waiting.events(), await waiting.ledger()
    for subscription in (quiet, commanded, waiting):
        await reset_to_run_start(subscription)
    # It accepts a command, and cannot record its events.
    pending_command = asyncio.create_task(
        waiting.send("rename_account", group=unique_name("renamed"), id="rename")
    )
    await wait_for("it is stuck", lambda: is_diverged(waiting))

    assert await codes(isolated_env) == {
        subscription.id: [("WORKFLOW_BEHIND", True)] for subscription in (quiet, commanded, waiting)
    }

    assert [await stored_rows(isolated_env, subscription) for subscription in (quiet, commanded)] == before
    # The new workflow receives the command again, and executes it once.
    assert (await pending_command).command == "rename_account"
    assert (await waiting.events(), await waiting.ledger()) == ([*events, "ACCOUNT_RENAMED"], ledger)
    assert await commanded.send("upgrade", members=20, id="more")
    assert await found(isolated_env) == []


async def test_lost_namespace_restarts_all_workflows(
    isolated_env: ServiceEnv, stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.reconciliation.context._MAX_CONCURRENT_CHECKS", 4)
    trials = await gather_all(isolated_env.requested() for _ in range(6))
    paying = await gather_all(paid(isolated_env) for _ in range(3))
    gone = await isolated_env.requested()
    await is_cancelled_today(gone)
    ledgers = [await subscription.ledger() for subscription in paying]
    elsewhere = await new_namespace(isolated_env.temporal)
    async with open_service_env(
        stack, elsewhere, database_url=isolated_env.database_url, task_queue=isolated_env.task_queue
    ) as moved:
        subscriptions = [*trials, *paying]
        assert await codes(moved) == {
            subscription.id: [("WORKFLOW_MISSING", True)] for subscription in subscriptions
        }
        assert await found(moved) == []
        assert [await subscription.ledger() for subscription in paying] == ledgers

        async def is_cancelled(subscription: SubscriptionDriver) -> None:
            today = await subscription.today()  # the test clock is in the old namespace
            restarted = SubscriptionDriver(moved.client, elsewhere, subscription.id, subscription.request)
            assert await restarted.send("cancel", date=f"{today}")

        await gather_all(map(is_cancelled, subscriptions))
