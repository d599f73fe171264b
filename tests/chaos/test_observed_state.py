"""The verifier of the chaos run reads the database: injected damage is reported."""

from typing import Any

from support.corruption import append_only_disabled
from support.service_env import ServiceEnv

from adapters.postgres.price_book_repository import load_price_book
from chaos.drive_subscription import SubscriptionRun
from chaos.observed_state import read_record, read_workflow
from chaos.planned_subscriptions import PlannedSubscription
from chaos.verify_subscriptions import differences, expected_of

START = "2026-12-20 10:00"
MARKER = "zq1q"
SWITCH = {"date": "2026-12-21", "term": "ANNUAL", "id": "1-0"}
STEPS: list[dict[str, Any]] = [
    {"at": "2026-12-21T09:00:00+09:00", "switch_to_paid": SWITCH},
    {"at": "2027-02-10T09:00:00+09:00", "upgrade": {"members": 20, "id": "1-1"}},
]
GUARDED = ("ledger_lines", "lifecycle_events", "command_answers")
# Each statement damages rows of this subscription; the text must be reported.
DAMAGE = (
    ("UPDATE ledger_lines SET amount = 1", "first_day = '2027-01-01'", "has amount 1, right is 60000"),
    ("DELETE FROM ledger_lines", "first_day = '2026-12-21'", "SERVICE_FEE/2026-12-21 is missing"),
    ("DELETE FROM lifecycle_events", "sequence = 3", "the events are numbered [1, 2, 4"),
    (
        "UPDATE lifecycle_events SET effective_at = effective_at + interval '1 second'",
        "sequence = 2",
        "SWITCHED_TO_PAID, is dated 2026-12-21T09:00:01+09:00",
    ),
    (
        "UPDATE lifecycle_events SET event = CASE sequence"
        " WHEN 2 THEN 'SERVICE_FEES_POSTED' ELSE 'SWITCHED_TO_PAID' END",
        "sequence IN (2, 3)",
        "event 2 is SERVICE_FEES_POSTED, instead of SWITCHED_TO_PAID",
    ),
    (
        "INSERT INTO lifecycle_events SELECT subscription_id, 9, event, state, effective_at, detail"
        " FROM lifecycle_events",
        "sequence = 2",
        "SWITCHED_TO_PAID is there 1 times too often",
    ),
    ("DELETE FROM account_names", "true", "it has the names []"),
    ("DELETE FROM command_answers", "true", "responses are stored for the commands []"),
)


async def test_verifier_reports_damaged_rows(isolated_env: ServiceEnv) -> None:
    request = {"plan": "basic", "members": 10, "account": {"group": MARKER}}
    subscription = await isolated_env.requested(START, **request)
    for step in STEPS:
        [(command, argument)] = [each for each in step.items() if each[0] != "at"]
        await subscription.send(command, at=step["at"][:16].replace("T", " "), **argument)
    await subscription.advance_to("2027-04-01 00:00")
    scenario = {
        "name": "subscription 1",
        "request": {"at": "2026-12-20T10:00:00+09:00", **request},
        "steps": STEPS,
        "until": "2027-04-01T00:00:00+09:00",
    }
    planned = PlannedSubscription(number=1, marker=MARKER, scenario=scenario, rivals=1, api_customer=None)
    accepted: list[dict[str, Any]] = [{"accepted": True, "code": None, "answer": {}}]
    run_record = SubscriptionRun(
        planned, subscription.id, requests=[accepted], answers=[accepted, accepted], is_over=True
    )
    right = expected_of(planned, subscription.id, await load_price_book(isolated_env.pool))

    async with isolated_env.owner.acquire() as connection:

        async def found() -> list[str]:
            [facts] = (await read_record(connection, [subscription.id])).values()
            await read_workflow(isolated_env.temporal, subscription.id, facts, MARKER)
            return differences(run_record, right, facts)

        assert await found() == []
        for harm, to, named in DAMAGE:
            doing = connection.transaction()
            await doing.start()
            async with append_only_disabled(connection, GUARDED):
                await connection.execute(f"{harm} WHERE subscription_id = $1 AND {to}", subscription.id)
            differing = await found()
            await doing.rollback()
            assert any(named in difference for difference in differing), differing
        assert await found() == []
