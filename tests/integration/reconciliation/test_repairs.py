"""Damage that the job `reconcile` repairs: each kind is injected, found, reported and repaired."""

from datetime import timedelta

from support.corruption import (
    delete_all_histories,
    delete_rows,
    execute_as_superuser,
    reset_to_run_start,
    stored_rows,
)
from support.orphaned_histories import create_orphaned_history
from support.polling import gather_all
from support.reconcile_job import codes, found, night_passed
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver, is_known
from temporalio.testing import ActivityEnvironment

from activities.erasure import ErasureActivities
from adapters.postgres import subscription_repository
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from subscription.activity_contracts import EraseInput
from subscription.apply import apply
from subscription.due_events import cancellation_event
from subscription.events import Erased
from subscription.state import Subscription


async def a_year(service_env: ServiceEnv, year: int = 2026) -> SubscriptionDriver:
    """10 members of basic at 6,000 KRW: 42,580.6 for 22 days of January, 60,000 for each later month."""
    subscription = await service_env.paid(f"{year}-01-10 09:00", account={"group": unique_name("yearly")})
    await subscription.send(
        "rename_account", at=f"{year}-01-12 09:00", group=unique_name("renamed"), by="somebody", id="name"
    )
    await subscription.send("change_renewal_option", at=f"{year}-01-12 09:00", term="ANNUAL", id="option")
    await subscription.advance_to(f"{year}-04-01 00:00")
    return subscription


async def from_now_on(service_env: ServiceEnv) -> SubscriptionDriver:
    """Return a subscription ahead of the real clock, so that nothing is due when a new workflow continues."""
    subscription = await service_env.requested()
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.send(
        "switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL", id="switch"
    )
    await subscription.advance_clock_to(started + timedelta(days=32))
    return subscription


async def ended(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.paid("2026-01-10 09:00")
    await subscription.cancel_and_wait("2026-03-01 09:00")
    return subscription


# The damage to a subscription, $1, and the code of its finding in a night that queries few workflows.
# It is in the future, because a run would examine an overdue one in any case.
DAMAGE = {
    "columns": (
        "UPDATE subscriptions SET members = 11, next_deadline_at = now() WHERE subscription_id = $1",
        "ROW_DIFFERS",
    ),
    "the number of members": (
        "UPDATE subscriptions SET added_members = 12 WHERE subscription_id = $1",
        "ROW_DIFFERS",
    ),
    "an unreadable row": (
        "UPDATE subscriptions SET snapshot = '{}' WHERE subscription_id = $1",
        "ROW_DIFFERS",
    ),
    "a living one as erased": (
        "UPDATE subscriptions SET state = 'ERASED' WHERE subscription_id = $1",
        "ROW_DIFFERS",
    ),
    "an event": (
        "DELETE FROM lifecycle_events WHERE subscription_id = $1 AND sequence = 5",
        "EVENT_MISSING",
    ),
    "the last event": (
        """
        DELETE FROM lifecycle_events AS event USING subscriptions AS row
         WHERE row.subscription_id = $1 AND event.subscription_id = $1 AND event.sequence = row.sequence
        """,
        "EVENT_MISSING",
    ),
    "an event with all that belongs to it": (
        """
        WITH events AS (DELETE FROM lifecycle_events WHERE subscription_id = $1 AND sequence IN (1, 3, 5)),
             notes AS (DELETE FROM event_private_data WHERE subscription_id = $1 AND sequence IN (1, 3, 5)),
             answers AS (DELETE FROM command_answers WHERE subscription_id = $1 AND sequence IN (1, 3, 5))
        DELETE FROM ledger_lines WHERE subscription_id = $1 AND sequence IN (1, 3, 5)
        """,
        "EVENT_MISSING",
    ),
    "a line": (
        "DELETE FROM ledger_lines WHERE subscription_id = $1 AND first_day = '2030-02-01'",
        "LINE_MISSING",
    ),
    "its name": ("DELETE FROM account_names WHERE subscription_id = $1", "NAME_DIFFERS"),
    "a name too many": (
        "INSERT INTO account_names VALUES ('not-its-own', 'GROUP', $1, 'HELD')",
        "NAME_DIFFERS",
    ),
    "its company": ("DELETE FROM companies WHERE subscription_id = $1", "DATA_MISSING"),
    "its row alone": ("DELETE FROM subscriptions WHERE subscription_id = $1", "ROW_MISSING"),
}


WITH_HISTORY = {"EVENT_MISSING", "LINE_MISSING", "ROW_MISSING"}
"""Findings about subscriptions with several commands and months; the others have only switched to paid."""


async def test_repair_restores_rows_events_lines_and_names(isolated_env: ServiceEnv) -> None:
    started = await gather_all(
        a_year(isolated_env, 2030) if code in WITH_HISTORY else isolated_env.paid("2030-01-10 09:00")
        for _, code in DAMAGE.values()
    )
    subscriptions = dict(zip(DAMAGE, started, strict=True))
    await night_passed(isolated_env)
    before = {
        what: await stored_rows(isolated_env, subscription) for what, subscription in subscriptions.items()
    }
    for what, (plant, _) in DAMAGE.items():
        await execute_as_superuser(isolated_env, plant, subscriptions[what].id)

    assert await codes(isolated_env) == {
        subscriptions[what].id: [(code, True)] for what, (_, code) in DAMAGE.items()
    }

    for what, subscription in subscriptions.items():
        assert await stored_rows(isolated_env, subscription) == before[what], what
    assert await found(isolated_env) == []


async def test_lost_workflow_restarts_and_reset_workflow_catches_up(
    isolated_env: ServiceEnv,
) -> None:
    terminated, gone, behind = await gather_all(from_now_on(isolated_env) for _ in range(3))
    await night_passed(isolated_env)
    await terminated.handle.terminate(reason="by an operator's mistake")
    await delete_all_histories(gone)
    await behind.send("upgrade", members=20)  # a deadline alone would be processed again after the reset
    await reset_to_run_start(behind)
    before = [await stored_rows(isolated_env, subscription) for subscription in (terminated, gone, behind)]

    assert await codes(isolated_env) == {
        terminated.id: [("WORKFLOW_MISSING", True)],
        gone.id: [("WORKFLOW_MISSING", True)],
        behind.id: [("WORKFLOW_BEHIND", True)],
    }

    assert [
        await stored_rows(isolated_env, subscription) for subscription in (terminated, gone, behind)
    ] == before
    for subscription in (terminated, gone, behind):
        status = await subscription.status()
        assert await subscription.handle.query("status") == status.model_dump(mode="json")
        await subscription.send("change_renewal_option", term="ANNUAL")
    assert await found(isolated_env) == []


async def test_subscription_missing_in_database_is_restored(isolated_env: ServiceEnv) -> None:
    running, lost = await gather_all([a_year(isolated_env), from_now_on(isolated_env)])
    domain = f"{unique_name('acme')}.co.kr"
    restricted = await isolated_env.requested("2026-01-10 09:00", account={"domain": domain})
    await night_passed(isolated_env)
    before = [await stored_rows(isolated_env, subscription) for subscription in (running, lost, restricted)]
    for subscription in (running, lost, restricted):
        await delete_rows(isolated_env, subscription)
    await lost.handle.terminate(reason="by an operator's mistake")

    assert await codes(isolated_env) == {
        running.id: [("ROW_MISSING", True)],
        lost.id: [("ROW_MISSING", True), ("WORKFLOW_MISSING", True)],
        restricted.id: [("ROW_MISSING", True)],
    }

    assert [
        await stored_rows(isolated_env, subscription) for subscription in (running, lost, restricted)
    ] == before
    assert await found(isolated_env) == []


async def test_r31_remains_of_erased_subscription_are_deleted(isolated_env: ServiceEnv) -> None:
    rows, fingerprint, state, histories, uncertified = await gather_all(ended(isolated_env) for _ in range(5))
    for statement, subscription in (
        ("INSERT INTO companies VALUES ($1, 'Acme Korea', '+8225550199')", rows),
        ("UPDATE subscriptions SET request_fingerprint = 'abc' WHERE subscription_id = $1", fingerprint),
        ("UPDATE subscriptions SET state = 'ACTIVE' WHERE subscription_id = $1", state),
        (
            "DELETE FROM erasure_certificates WHERE subscription_id = $1 AND part = 'HISTORIES'",
            uncertified,
        ),
    ):
        await execute_as_superuser(isolated_env, statement, subscription.id)
    await create_orphaned_history(isolated_env, histories.workflow_id, isolated_env.request_body())
    refused = await create_orphaned_history(
        isolated_env, f"subscription-{unique_name('refused')}", isolated_env.request_body()
    )

    assert await codes(isolated_env) == {
        rows.id: [("DATA_LEFT", True)],
        fingerprint.id: [("DATA_LEFT", True)],
        state.id: [("ROW_DIFFERS", True)],
        histories.id: [("DATA_LEFT", True)],
        uncertified.id: [("DATA_LEFT", True)],
        refused.removeprefix("subscription-"): [("DATA_LEFT", True)],
    }

    assert await certified(uncertified) == await certified(histories)
    assert await found(isolated_env) == []


async def certified(subscription: SubscriptionDriver) -> list[list[str]]:
    return [
        sorted(certificate.rows) for certificate in await subscription.client.certificates(subscription.id)
    ]


async def test_r31_workflow_active_after_erasure_is_deleted(isolated_env: ServiceEnv) -> None:
    subscription = await from_now_on(isolated_env)
    await erase_in_database_only(isolated_env, subscription)
    before = await stored_rows(isolated_env, subscription)

    assert await codes(isolated_env) == {subscription.id: [("DATA_LEFT", True)]}

    assert not await is_known(subscription.handle)
    assert await found(isolated_env) == []
    assert {**await stored_rows(isolated_env, subscription), "erasure_certificates": []} == {
        **before,
        "erasure_certificates": [],
    }


async def erase_in_database_only(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    """Erase it in the database only, as if the server had been restored from before the erasure."""
    erasure = ErasureActivities(service_env.pool, PostgresWorkspaceProvisioner(service_env.pool))
    state = Subscription.model_validate(await subscription.handle.query("snapshot"))
    assert state.last_at is not None
    for event in (cancellation_event(state, state.last_at, "ASKED"), Erased(at=state.last_at)):
        state = apply(state, event)
        if isinstance(event, Erased):
            erase = EraseInput(
                subscription_id=subscription.id, sequence=state.sequence, event=event, state=state
            )
            await ActivityEnvironment().run(erasure.erase_subscription, erase)
        else:
            async with service_env.owner.acquire() as connection, connection.transaction():
                await subscription_repository.update_subscription(connection, state)
                await subscription_repository.insert_events(connection, state, state.sequence, (event,))
    await execute_as_superuser(
        service_env,
        """
        INSERT INTO erasure_certificates
        SELECT subscription_id, 'HISTORIES', erased_at, '{"workflow_runs": 2}' FROM erasure_certificates
         WHERE subscription_id = $1
        """,
        subscription.id,
    )


async def test_lost_adjustment_is_restored(isolated_env: ServiceEnv) -> None:
    subscription = await a_year(isolated_env)
    for number in (1, 2):
        await isolated_env.client.adjust(
            {
                "subscription_id": subscription.id,
                "id": f"T-{number}",
                "key": f"{subscription.id}/SERVICE_FEE/2026-02-01",
                "amount": -1000 * number,
                "reason": "GOODWILL",
                "reference": f"T-{number}",
            }
        )
    before = await stored_rows(isolated_env, subscription)
    await execute_as_superuser(isolated_env, "DELETE FROM ledger_adjustments WHERE adjustment_id = 'T-1'")

    assert await codes(isolated_env) == {subscription.id: [("ADJUSTMENT_MISSING", True)]}

    assert await stored_rows(isolated_env, subscription) == before
    assert await found(isolated_env) == []


async def test_r12_repair_restores_holds_claims_and_losses(isolated_env: ServiceEnv) -> None:
    at, domain = "2027-01-10 09:00", f"{unique_name('claimed')}.example"
    holder, loser, late = claiming = await gather_all(
        isolated_env.requested(at, account={"domain": domain}) for _ in range(3)
    )
    for subscription in claiming:
        await subscription.client.settle(subscription.id)
    [proof] = (await holder.status()).proofs
    isolated_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    await holder.send("check_domain", at="2027-01-10 09:02")
    await loser.send("check_domain", at="2027-01-10 09:02")
    for damage, damaged in (
        ("DELETE FROM account_names", claiming),
        # The repair of the holder marks the other claims as lost, so the loser is found only before it.
        ("UPDATE account_names SET status = 'CLAIMED'", [holder]),
    ):
        await execute_as_superuser(isolated_env, damage)
        repaired = await codes(isolated_env)
        assert repaired == {each: [("NAME_DIFFERS", True)] for each in repaired}
        assert {each.id for each in damaged} <= repaired.keys()
        rows = await isolated_env.owner.fetch("SELECT subscription_id, status FROM account_names")
        status = {row["subscription_id"]: row["status"] for row in rows}
        assert (status[holder.id], status[loser.id]) == ("HELD", "LOST")
        assert status[late.id] in ("CLAIMED", "LOST")
        assert await found(isolated_env) == []
    answer = await late.send("check_domain", at="2027-01-10 09:03")
    assert [entry.event for entry in answer.events] == ["DOMAIN_LOST"]
