"""Damage that the job `reconcile` repairs: each kind is planted, found, said and gone."""

from datetime import timedelta

from support.corruption import damaged, forgotten, has_lost_its_histories, is_set_back, told
from support.orphaned_histories import run_that_is_left
from support.polling import gather_all
from support.reconcile_job import codes, found
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver, is_known
from temporalio.testing import ActivityEnvironment

from activities.erasure import ErasureActivities
from adapters.postgres import subscription_repository
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from subscription.activity_contracts import EraseInput
from subscription.apply import apply
from subscription.deadlines import cancellation_event
from subscription.events import Erased
from subscription.state import Subscription


async def a_year(house: ServiceEnv) -> SubscriptionDriver:
    """10 members of basic at 6,000 KRW: 42,580.6 of January's 22 days, and 60,000 for each month after it."""
    life = await house.paid("2026-01-10 09:00", account={"group": unique_name("yearly")})
    await life.asks(
        "rename_account", at="2026-01-12 09:00", group=unique_name("renamed"), by="somebody", id="name"
    )
    await life.asks("change_renewal_option", at="2026-01-12 09:00", term="ANNUAL", id="option")
    await life.passes_to("2026-04-01 00:00")
    return life


async def from_now_on(house: ServiceEnv) -> SubscriptionDriver:
    """A life that is ahead of the real clock, so that nothing is due when a new workflow goes on from it."""
    life = await house.requested()
    started = (await life.status()).started_at
    assert started is not None
    await life.asks("switch_to_paid", date=f"{await life.today()}", term="ANNUAL", id="switch")
    await life.sleeps_until(started + timedelta(days=70))
    return life


async def ended(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.paid("2026-01-10 09:00")
    await life.is_cancelled("2026-03-01 09:00")
    return life


# What is done to a subscription, $1, and as what it is found.
PLANTED = {
    "columns": (
        "UPDATE subscriptions SET members = 11, next_deadline_at = now() WHERE subscription_id = $1",
        "ROW_DIFFERS",
    ),
    "what no event tells": (
        """
        UPDATE subscriptions SET snapshot = jsonb_set(snapshot, '{admin_id}', '"other"')
         WHERE subscription_id = $1
        """,
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
             notes AS (DELETE FROM event_notes WHERE subscription_id = $1 AND sequence IN (1, 3, 5)),
             terms AS (DELETE FROM terms_agreements WHERE subscription_id = $1 AND sequence IN (1, 3, 5)),
             answers AS (DELETE FROM command_answers WHERE subscription_id = $1 AND sequence IN (1, 3, 5))
        DELETE FROM ledger_lines WHERE subscription_id = $1 AND sequence IN (1, 3, 5)
        """,
        "EVENT_MISSING",
    ),
    "a line": (
        "DELETE FROM ledger_lines WHERE subscription_id = $1 AND first_day = '2026-02-01'",
        "LINE_MISSING",
    ),
    "its name": ("DELETE FROM account_names WHERE subscription_id = $1", "NAME_DIFFERS"),
    "a name too many": (
        "INSERT INTO account_names VALUES ('not-its-own', 'GROUP', $1)",
        "NAME_DIFFERS",
    ),
    "its company": ("DELETE FROM companies WHERE subscription_id = $1", "DATA_MISSING"),
    "its row alone": ("DELETE FROM subscriptions WHERE subscription_id = $1", "ROW_MISSING"),
}


async def test_rows_are_rewritten_and_events_lines_and_names_are_restored(office: ServiceEnv) -> None:
    lives = dict(zip(PLANTED, await gather_all(a_year(office) for _ in PLANTED), strict=True))
    before = {what: await told(office, life) for what, life in lives.items()}
    for what, (plant, _) in PLANTED.items():
        await damaged(office, plant, lives[what].id)

    assert await codes(office) == {lives[what].id: [(code, True)] for what, (_, code) in PLANTED.items()}

    for what, life in lives.items():
        assert await told(office, life) == before[what], what
    assert await found(office) == []


async def test_a_lost_workflow_is_started_anew_and_one_that_was_set_back_catches_up(
    office: ServiceEnv,
) -> None:
    terminated, gone, behind = await gather_all(from_now_on(office) for _ in range(3))
    await terminated.handle.terminate(reason="by an operator's mistake")
    await has_lost_its_histories(gone)
    await behind.asks("upgrade", members=20)  # what only falls due, it would do again by itself
    await is_set_back(behind)
    before = [await told(office, life) for life in (terminated, gone, behind)]

    assert await codes(office) == {
        terminated.id: [("WORKFLOW_MISSING", True)],
        gone.id: [("WORKFLOW_MISSING", True)],
        behind.id: [("WORKFLOW_BEHIND", True)],
    }

    assert [await told(office, life) for life in (terminated, gone, behind)] == before
    for life in (terminated, gone, behind):
        status = await life.status()
        assert await life.handle.query("status") == status.model_dump(mode="json")
        await life.asks("change_renewal_option", term="ANNUAL")
    assert await found(office) == []


async def test_a_subscription_that_the_record_has_lost_is_entered_again(office: ServiceEnv) -> None:
    running, lost = await gather_all([a_year(office), from_now_on(office)])
    domain = f"{unique_name('acme')}.co.kr"
    restricted = await office.requested("2026-01-10 09:00", account={"domain": domain})
    before = [await told(office, life) for life in (running, lost, restricted)]
    for life in (running, lost, restricted):
        await forgotten(office, life)
    await lost.handle.terminate(reason="by an operator's mistake")

    assert await codes(office) == {
        running.id: [("ROW_MISSING", True)],
        lost.id: [("ROW_MISSING", True), ("WORKFLOW_MISSING", True)],
        restricted.id: [("ROW_MISSING", True)],
    }

    assert [await told(office, life) for life in (running, lost, restricted)] == before
    assert await found(office) == []


async def test_r31_what_is_left_of_an_erased_subscription_is_deleted(office: ServiceEnv) -> None:
    rows, fingerprint, state, histories, uncertified = await gather_all(ended(office) for _ in range(5))
    for statement, life in (
        ("INSERT INTO companies VALUES ($1, 'Acme Korea', '+8225550199')", rows),
        ("UPDATE subscriptions SET request_fingerprint = 'abc' WHERE subscription_id = $1", fingerprint),
        ("UPDATE subscriptions SET state = 'ACTIVE' WHERE subscription_id = $1", state),
        (
            "DELETE FROM erasure_certificates WHERE subscription_id = $1 AND part = 'HISTORIES'",
            uncertified,
        ),
    ):
        await damaged(office, statement, life.id)
    await run_that_is_left(office, histories.workflow_id, office.request_body())
    refused = await run_that_is_left(office, f"subscription-{unique_name('refused')}", office.request_body())

    assert await codes(office) == {
        rows.id: [("DATA_LEFT", True)],
        fingerprint.id: [("DATA_LEFT", True)],
        state.id: [("ROW_DIFFERS", True)],
        histories.id: [("DATA_LEFT", True)],
        uncertified.id: [("DATA_LEFT", True)],
        refused.removeprefix("subscription-"): [("DATA_LEFT", True)],
    }

    assert await certified(uncertified) == await certified(histories)
    assert await found(office) == []


async def certified(life: SubscriptionDriver) -> list[list[str]]:
    return [sorted(certificate.rows) for certificate in await life.client.certificates(life.id)]


async def test_r31_a_workflow_that_lives_on_after_the_erasure_is_deleted(office: ServiceEnv) -> None:
    life = await from_now_on(office)
    await is_erased_behind_its_back(office, life)
    before = await told(office, life)

    assert await codes(office) == {life.id: [("DATA_LEFT", True)]}

    assert not await is_known(life.handle)
    assert await found(office) == []
    assert {**await told(office, life), "erasure_certificates": []} == {**before, "erasure_certificates": []}


async def is_erased_behind_its_back(house: ServiceEnv, life: SubscriptionDriver) -> None:
    """The record is of after the erasure, and the server was restored from before it."""
    erasure = ErasureActivities(house.pool, PostgresWorkspaceProvisioner(house.pool))
    state = Subscription.model_validate(await life.handle.query("snapshot"))
    assert state.last_at is not None
    for event in (cancellation_event(state, state.last_at, "ASKED"), Erased(at=state.last_at)):
        state = apply(state, event)
        if isinstance(event, Erased):
            erase = EraseInput(subscription_id=life.id, sequence=state.sequence, event=event, state=state)
            await ActivityEnvironment().run(erasure.erase_subscription, erase)
        else:
            async with house.owner.acquire() as connection, connection.transaction():
                await subscription_repository.update_subscription(connection, state)
                await subscription_repository.insert_events(connection, state, state.sequence, (event,))
    await damaged(
        house,
        """
        INSERT INTO erasure_certificates
        SELECT subscription_id, 'HISTORIES', erased_at, '{"workflow_runs": 2}' FROM erasure_certificates
         WHERE subscription_id = $1
        """,
        life.id,
    )


async def test_an_adjustment_that_the_ledger_has_lost_is_entered_again(office: ServiceEnv) -> None:
    life = await a_year(office)
    for number in (1, 2):
        await office.client.adjust(
            {
                "subscription_id": life.id,
                "id": f"T-{number}",
                "key": f"{life.id}/SERVICE_FEE/2026-02-01",
                "amount": -1000 * number,
                "reason": "GOODWILL",
                "reference": f"T-{number}",
            }
        )
    before = await told(office, life)
    await damaged(office, "DELETE FROM ledger_adjustments WHERE adjustment_id = 'T-1'")

    assert await codes(office) == {life.id: [("ADJUSTMENT_MISSING", True)]}

    assert await told(office, life) == before
    assert await found(office) == []
