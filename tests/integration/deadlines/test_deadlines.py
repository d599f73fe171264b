"""Deadlines missed while no worker ran: processed later, once, in order, with their due times (R23)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, kst, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client, WorkflowHistory

from dev_stack.stack import EmbeddedStack
from subscription.business_calendar import first_of_next_month, start_of
from subscription.deadlines import Deadline, DeadlineKind
from subscription.refusals import RefusalCode
from subscription.state import State
from workflows.registry import replayer

START = "2027-01-15 09:00"
HOUR = timedelta(hours=1)
Commands = tuple[tuple[str, str, Mapping[str, Any]], ...]

# Commands while the worker runs; start and end of the time without a worker; the expected events.
MISSED: dict[str, tuple[Commands, str, str, list[tuple[str, str]]]] = {
    "the end of the trial": (
        (),
        "2027-02-13 09:00",
        "2027-02-16 09:00",
        [("TRIAL_ENDED", "2027-02-14 09:00")],
    ),
    "the end of the grace period": (
        (),
        "2027-03-15 09:00",
        "2027-03-18 09:00",
        [("CANCELED", "2027-03-16 09:00"), ("ERASED", "2027-03-16 09:00")],
    ),
    "a reserved switch and the fees of a month": (
        (("2027-01-20 09:00", "switch_to_paid", {"date": "2027-01-30", "term": "MONTHLY"}),),
        "2027-01-29 09:00",
        "2027-02-01 09:00",
        [("SWITCHED_TO_PAID", "2027-01-30 00:00"), ("SERVICE_FEES_POSTED", "2027-02-01 00:00")],
    ),
    "the end of a period on the first of a month": (
        (("2027-02-01 09:00", "switch_to_paid", {"date": "2027-02-01", "term": "ANNUAL"}),),
        "2028-01-30 09:00",
        "2028-02-02 09:00",
        [("SERVICE_FEES_POSTED", "2028-02-01 00:00"), ("CONTRACT_RENEWED", "2028-02-01 00:00")],
    ),
    "a reserved cancellation on the first of a month": (
        (
            ("2027-01-20 09:00", "switch_to_paid", {"date": "2027-01-20", "term": "ANNUAL"}),
            ("2027-02-20 09:00", "cancel", {"date": "2027-04-01"}),
        ),
        "2027-03-30 09:00",
        "2027-04-02 09:00",
        [
            ("SERVICE_FEES_POSTED", "2027-04-01 00:00"),
            ("CANCELED", "2027-04-01 00:00"),
            ("ERASED", "2027-04-01 00:00"),
        ],
    ),
    "monthly periods and fees around the end of February": (
        (("2027-01-31 09:00", "switch_to_paid", {"date": "2027-01-31", "term": "MONTHLY"}),),
        "2027-02-27 09:00",
        "2027-03-02 09:00",
        [("CONTRACT_RENEWED", "2027-02-28 00:00"), ("SERVICE_FEES_POSTED", "2027-03-01 00:00")],
    ),
}


BROUGHT_ABOUT = {
    DeadlineKind.SERVICE_FEES: "SERVICE_FEES_POSTED",
    DeadlineKind.CANCELLATION: "CANCELED",
    DeadlineKind.SWITCH_TO_PAID: "SWITCHED_TO_PAID",
    DeadlineKind.TRIAL_END: "TRIAL_ENDED",
    DeadlineKind.GRACE_END: "CANCELED",
    DeadlineKind.CONTRACT_END: "CONTRACT_RENEWED",
    DeadlineKind.ERASURE: "ERASED",
}


def test_missed_cases_cover_every_deadline_kind() -> None:
    missed = [event for _, _, _, happened in MISSED.values() for event, _ in happened]
    assert set(BROUGHT_ABOUT) == set(DeadlineKind)
    assert set(BROUGHT_ABOUT.values()) == set(missed)
    assert missed.count("CANCELED") == 2  # at the end of the grace period, and by reservation


@asynccontextmanager
async def working(service_env: ServiceEnv) -> AsyncIterator[None]:
    async with service_env.worker():
        yield


async def test_r23_deadlines_missed_for_three_days_run_once(stack: EmbeddedStack, temporal: Client) -> None:
    """Deadlines missed during three days without a worker run once, with the time at which they were due."""
    async with open_service_env(stack, temporal, works=False) as service_env:

        async def before(commands: Commands, away_from: str) -> tuple[SubscriptionDriver, int]:
            subscription = await service_env.requested(START)
            for at, command, argument in commands:
                await subscription.send(command, at=at, **argument)
            await subscription.advance_to(away_from)
            known = len(await subscription.events())
            # The first event after the request ends the run of the request.
            await subscription.is_at_rest_in_run(1 if known == 1 else 2)
            return subscription, known

        async with working(service_env):
            subscriptions = await gather_all(
                before(commands, away) for commands, away, _, _ in MISSED.values()
            )
        waking = [
            asyncio.create_task(subscription.advance_to(back))
            for (subscription, _), (_, _, back, _) in zip(subscriptions, MISSED.values(), strict=True)
        ]
        async with working(service_env):
            await asyncio.gather(*waking)
            for (subscription, known), (what, (_, _, _, expected)) in zip(
                subscriptions, MISSED.items(), strict=True
            ):
                assert (await subscription.event_times())[known:] == expected, what
                keys = [line.key for line in await subscription.ledger()]
                assert len(keys) == len(set(keys))
                assert await subscription.failed_tasks() == []


async def test_r23_restarted_worker_meets_test_clock_deadlines(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with working(service_env):
            subscription = await service_env.requested()
            started = (await subscription.status()).started_at
            assert started is not None
            await subscription.advance_clock_to(started + timedelta(days=29))
            await subscription.is_at_rest_in_run(1)
        # The clock stops at the end of the trial, because no worker processes the deadline.
        passing = asyncio.create_task(subscription.clock.advance_to(started + timedelta(days=61)))
        async with working(service_env):
            assert not await passing
            await subscription.has_closed()
            entries = await subscription.client.timeline(subscription.id)
            assert [(entry.event, entry.at - started) for entry in entries] == [
                ("TRIAL_STARTED", timedelta(0)),
                ("TRIAL_ENDED", timedelta(days=30)),
                ("CANCELED", timedelta(days=60)),
                ("ERASED", timedelta(days=60)),
            ]


async def test_r16_reserved_switch_runs_at_start_of_its_date(
    service_env: ServiceEnv,
) -> None:
    """The time is that of the subscription's test clock."""
    subscription = await service_env.requested()
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today + timedelta(days=3)}", term="ANNUAL")
    await subscription.advance_clock_to(start_of(today + timedelta(days=3)) - timedelta(minutes=1))
    assert (await subscription.status()).state is State.TRIAL
    await subscription.advance_clock_to(start_of(today + timedelta(days=3)) + timedelta(minutes=1))
    switched = (await subscription.client.timeline(subscription.id))[-1]
    assert (switched.event, switched.at) == ("SWITCHED_TO_PAID", start_of(today + timedelta(days=3)))


# At the same instant, deadlines come before commands.


async def test_r23_command_at_deadline_instant_runs_after_it(service_env: ServiceEnv) -> None:
    async def trial_end() -> None:
        subscription = await service_env.requested(START)
        answer = await subscription.send(
            "switch_to_paid", at="2027-02-14 09:00", date="2027-02-14", term="ANNUAL"
        )
        assert answer.state is State.ACTIVE
        assert (await subscription.event_times())[1:] == [
            ("TRIAL_ENDED", "2027-02-14 09:00"),
            ("SWITCHED_TO_PAID", "2027-02-14 09:00"),
        ]

    async def grace_end() -> None:
        subscription = await service_env.requested(START)
        refused = await subscription.expect_refusal(
            "switch_to_paid", at="2027-03-16 09:00", date="2027-03-16", term="ANNUAL"
        )
        assert refused.code in (RefusalCode.SUBSCRIPTION_ENDED, RefusalCode.DATE_TOO_LATE)
        await subscription.advance_to("2027-03-16 09:00")
        assert (await subscription.event_times())[-2:] == [
            ("CANCELED", "2027-03-16 09:00"),
            ("ERASED", "2027-03-16 09:00"),
        ]

    async def reserved_switch() -> None:
        subscription = await service_env.requested(START)
        await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="ANNUAL")
        refused = await subscription.expect_refusal("withdraw_reservation", at="2027-02-01 00:00")
        assert refused.code is RefusalCode.NOTHING_RESERVED
        assert (await subscription.send("upgrade", at="2027-02-01 00:00", members=20)).state is State.ACTIVE
        assert (await subscription.event_times())[-2:] == [
            ("SWITCHED_TO_PAID", "2027-02-01 00:00"),
            ("UPGRADED", "2027-02-01 00:00"),
        ]

    async def reserved_cancellation() -> None:
        subscription = await service_env.paid(START, "MONTHLY")
        await subscription.send("cancel", at=START, date="2027-02-01")
        confirmation = await subscription.confirmation()
        refused = await subscription.expect_refusal("withdraw_reservation", at="2027-02-01 00:00")
        assert refused.code in (RefusalCode.SUBSCRIPTION_ENDED, RefusalCode.NOTHING_RESERVED)
        refused = await subscription.expect_refusal(
            "cancel", at="2027-02-01 00:00", date="2027-02-01", confirmation=confirmation
        )
        assert refused.code is RefusalCode.SUBSCRIPTION_ENDED
        await subscription.advance_to("2027-02-01 00:00")
        assert (await subscription.events()).count("CANCELED") == 1

    async def contract_end() -> None:
        subscription = await service_env.paid("2027-02-01 09:00", "ANNUAL")
        answer = await subscription.send("cancel", at="2028-02-01 00:00", date="2028-02-01")
        assert [line.kind for line in answer.ledger] == []  # free on the day after the period
        await subscription.advance_to("2028-02-01 00:00")
        assert (await subscription.event_times())[-4:] == [
            ("SERVICE_FEES_POSTED", "2028-02-01 00:00"),
            ("CONTRACT_RENEWED", "2028-02-01 00:00"),
            ("CANCELED", "2028-02-01 00:00"),
            ("ERASED", "2028-02-01 00:00"),
        ]

    await gather_all([trial_end(), grace_end(), reserved_switch(), reserved_cancellation(), contract_end()])


async def test_r23_clock_jump_over_two_years_meets_every_deadline(
    service_env: ServiceEnv,
) -> None:
    subscription = await service_env.paid(START, "MONTHLY")
    await subscription.advance_to("2029-01-20 09:00")
    months = [f"{year}-{month:02}" for year in (2027, 2028, 2029) for month in range(1, 13)][1:25]
    assert (await subscription.event_times())[2:] == [
        each
        for month in months
        for each in (("SERVICE_FEES_POSTED", f"{month}-01 00:00"), ("CONTRACT_RENEWED", f"{month}-15 00:00"))
    ]
    assert [amount for *_, amount in await subscription.ledger_tuples()] == [
        72_000 * 17 // 31,
        *[72_000] * 23,
    ]


async def test_r18_ten_year_contract_posts_every_line(
    service_env: ServiceEnv,
) -> None:
    """The histories of its runs stay short."""
    subscription = await service_env.paid("2027-02-01 09:00", "ANNUAL")
    await subscription.send("change_renewal_option", at="2027-02-01 09:00", term="ANNUAL")
    for year in range(2028, 2038):
        await subscription.advance_to(f"{year}-02-01 00:00")
    firsts = [f"{year}-{month:02}-01" for year in range(2027, 2038) for month in range(1, 13)][1:122]
    fees = [("SERVICE_FEE", first, end, 60_000) for first, end in pairwise(firsts)]
    assert await subscription.ledger_tuples() == fees
    assert len(fees) == 120
    assert (await subscription.events()).count("CONTRACT_RENEWED") == 10
    # Each year ends a run, so that no run grows with the subscription; the first has only the request.
    runs = [len(await subscription.history(run)) for run in await subscription.has_run(12)]
    assert max(runs) < 200
    await subscription.cancel_and_wait("2037-02-15 09:00")
    # Half of February 2037 was used at 6,000 instead of 7,200; half of it and 11 months remained.
    assert (await subscription.ledger_tuples())[len(fees) :] == [
        ("SERVICE_FEE", "2037-02-01", "2037-02-15", 30_000),
        ("DISCOUNT_REPAYMENT", "2037-02-01", "2037-02-15", 6_000),
        ("EARLY_TERMINATION_FEE", "2037-02-15", "2038-02-01", (30_000 + 11 * 60_000) // 10),
    ]
    histories = (await subscription.client.certificates(subscription.id))[1]
    assert histories.rows["workflow_runs"] >= 12


@pytest.mark.parametrize("by", ["update", "signal"])
async def test_r23_command_is_decided_after_missed_deadlines(service_env: ServiceEnv, by: str) -> None:
    subscription = await service_env.requested(START)
    await subscription.send("switch_to_paid", at=START, date="2027-02-01", term="MONTHLY")
    at = kst("2027-05-03 09:00").isoformat()
    if by == "update":
        await subscription.send("change_renewal_option", at="2027-05-03 09:00", term="ANNUAL")
    else:
        await subscription.handle.signal("change_renewal_option", {"term": "ANNUAL", "at": at})
        await subscription.advance_to("2027-05-03 09:00")
    events = await subscription.events()
    assert events[2:] == ["SWITCHED_TO_PAID", *["SERVICE_FEES_POSTED", "CONTRACT_RENEWED"] * 3, events[-1]]
    assert events[-1] == "RENEWAL_OPTION_CHANGED"


async def test_simulated_subscription_refuses_earlier_times(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(START)
    await subscription.advance_to("2027-02-14 09:00")
    refused = await subscription.expect_refusal("withdraw_reservation", at="2027-02-14 08:59")
    assert (refused.code, refused.field) == (RefusalCode.CLOCK_PASSED, "at")


async def test_restarted_worker_replays_histories_identically(service_env: ServiceEnv) -> None:
    """A restarted worker replays every history to the same workflow commands."""
    subscription = await service_env.requested(
        START, account={"domain": f"{unique_name('replayed')}.example"}
    )
    await subscription.handle.signal("withdraw_reservation", {})
    await subscription.send(
        "switch_to_paid", at="2027-01-16 09:00", date="2027-02-01", term="MONTHLY", id="switch"
    )
    await subscription.send("rename_account", at="2027-02-03 09:00", group=unique_name("replayed"))
    await subscription.advance_to("2028-03-05 00:00")
    await subscription.send("cancel", at="2028-03-05 09:00", date="2028-04-01")
    today = replayer()
    for run in await subscription.has_run(3):
        history = WorkflowHistory(subscription.workflow_id, await subscription.history(run))
        await today.replay_workflow(history)


async def test_r23_fees_post_in_billing_window_before_commands(
    service_env: ServiceEnv,
) -> None:
    """Service fees are posted within the billing window of one hour; later commands run after them."""
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    turn = first_of_next_month(await subscription.today())
    await subscription.clock.advance_to(start_of(turn))
    assert await subscription.ledger() == []
    assert (await subscription.status()).next == Deadline(at=start_of(turn), what=DeadlineKind.SERVICE_FEES)

    await subscription.send("change_renewal_option", term="MONTHLY")
    assert [line.effective_at for line in await subscription.ledger()] == [start_of(turn)]
    assert await subscription.events() == [
        "TRIAL_STARTED",
        "SWITCHED_TO_PAID",
        "SERVICE_FEES_POSTED",
        "RENEWAL_OPTION_CHANGED",
    ]

    next_turn = first_of_next_month(turn)
    await subscription.clock.advance_to(start_of(next_turn) + HOUR)

    async def both() -> bool:
        return [line.effective_at for line in await subscription.ledger()] == [
            start_of(turn),
            start_of(next_turn),
        ]

    await wait_for("the second month is charged without a command", both)
