"""Reconciling a house in which nothing is amiss: there is nothing to be found, whatever lives there."""

import asyncio
from datetime import timedelta

from support.polling import gather_all
from support.reconcile_job import found, reconciled
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver

from subscription.refusals import Refusal, RefusalCode
from subscription.state import State


async def on_a_clock_of_its_own(house: ServiceEnv, days: int) -> SubscriptionDriver:
    life = await house.requested()
    started = (await life.status()).started_at
    assert started is not None
    await life.sleeps_until(started + timedelta(days=days))
    return life


async def restricted(house: ServiceEnv) -> SubscriptionDriver:
    return await house.requested("2026-01-10 09:00", account={"domain": f"{unique_name('acme')}.co.kr"})


async def proved(house: ServiceEnv) -> SubscriptionDriver:
    life = await restricted(house)
    [proof] = (await life.status()).proofs
    house.dns.publish_txt(proof.txt_name, proof.txt_value)
    await life.passes_to("2026-01-11 09:00")
    return life


async def renamed(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.requested("2026-01-10 09:00")
    await life.asks("rename_account", at="2026-01-10 10:00", group=unique_name("renamed"), by="somebody")
    await life.asks("rename_account", at="2026-01-12 10:00", domain=f"{unique_name('held')}.co.kr", id="hold")
    await life.passes_to("2026-01-12 12:00")
    return life


async def reserved(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.requested("2026-01-10 09:00")
    await life.asks("switch_to_paid", at="2026-01-10 10:00", date="2026-01-20", term="MONTHLY")
    return life


async def paid_for_years(house: ServiceEnv, term: str) -> SubscriptionDriver:
    """Upgrades, options, a refused signal, renewed contracts, and a cancellation that is reserved."""
    life = await house.paid("2023-01-10 09:00", term=term, customer_id="C-1")
    await life.asks("upgrade", at="2023-03-15 09:00", members=20)
    await life.asks("upgrade", at="2023-03-15 09:00", plan="premium", id="twice")
    await life.asks("change_renewal_option", at="2023-04-01 09:00", term="ANNUAL", members=5)
    await life.handle.signal("switch_to_paid", {"date": "2023-05-01", "term": "ANNUAL"})
    await life.passes_to("2025-05-01 00:00")
    await life.asks("cancel", at="2025-05-01 09:00", date="2025-06-17")
    return life


async def left_early(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.paid("2026-01-10 09:00", customer_id="C-1")
    await life.asks("upgrade", at="2026-03-15 09:00", members=20)
    await life.is_cancelled("2026-04-20 09:00")
    return life


async def lapsed(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.requested("2026-01-10 09:00")
    await life.passes_to("2026-03-11 09:00")
    await life.has_closed()
    return life


async def corrected(house: ServiceEnv) -> SubscriptionDriver:
    life = await house.paid("2026-01-10 09:00", term="MONTHLY", customer_id="C-2")
    await life.passes_to("2026-04-01 00:00")
    await house.client.adjust(
        {
            "subscription_id": life.id,
            "id": "T-1",
            "key": f"{life.id}/SERVICE_FEE/2026-02-01",
            "amount": -1000,
            "reason": "GOODWILL",
            "reference": "T-1",
        }
    )
    return life


async def test_nothing_is_found_where_nothing_is_amiss(office: ServiceEnv) -> None:
    lives = await gather_all(
        [
            on_a_clock_of_its_own(office, 0),
            on_a_clock_of_its_own(office, 10),
            on_a_clock_of_its_own(office, 40),
            restricted(office),
            proved(office),
            renamed(office),
            reserved(office),
            paid_for_years(office, "MONTHLY"),
            paid_for_years(office, "ANNUAL"),
            left_early(office),
            lapsed(office),
            corrected(office),
        ]
    )
    taken = await office.judged(office.request_body(account=lives[0].request["account"]))
    assert isinstance(taken, Refusal)
    assert taken.code is RefusalCode.NAME_TAKEN
    for month in ("2023-03", "2026-03", "2026-04"):
        await office.temporal.execute_workflow(
            "InvoicesWorkflow", {"month": month}, id=unique_name("close"), task_queue=office.task_queue
        )

    assert await found(office) == []

    report = await reconciled(office)
    assert report["summary"] == "12 subscriptions looked at, nothing is amiss."
    assert (report["looked_at"], report["by_code"]) == (12, {})
    states = {(await life.status()).state for life in lives}
    assert states == {State.TRIAL, State.SUSPENDED, State.ACTIVE, State.ERASED}


async def lives_busily(house: ServiceEnv, over: asyncio.Event) -> SubscriptionDriver:
    """Commands, months and names, one after the other until it is over; then it leaves."""
    life = await house.requested()
    await life.asks("switch_to_paid", date=f"{await life.today()}", term="ANNUAL")
    members = 10
    while not over.is_set():
        members += 1
        await life.asks("upgrade", members=members, id=f"to-{members}")
        await life.asks("change_renewal_option", term="MONTHLY" if members % 2 else "ANNUAL")
        await life.handle.signal("withdraw_reservation", {})
        await life.sleeps_until(await life.clock.now() + timedelta(days=31))
        await life.asks("rename_account", group=unique_name("busy"))
    await life.asks("cancel", date=f"{await life.today()}")
    return life


async def test_what_is_under_way_is_never_taken_for_damage(office: ServiceEnv) -> None:
    over = asyncio.Event()
    living = asyncio.gather(*(lives_busily(office, over) for _ in range(6)))
    said = [await found(office, grace_minutes=10) for _ in range(6)]
    over.set()
    # They leave while they are looked at.
    said += [await found(office, grace_minutes=10) for _ in range(3)]
    lives = await living
    await gather_all(life.has_closed() for life in lives)
    said.append(await found(office))
    assert said == [[]] * 10
    for life in lives:
        assert len(await life.events()) > 5
