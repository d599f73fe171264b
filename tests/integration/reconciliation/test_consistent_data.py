"""Reconciliation of consistent data: no findings for any kind of subscription."""

import asyncio
from datetime import timedelta

from support.polling import gather_all
from support.reconcile_job import found, reconciled
from support.service_env import ServiceEnv, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver

from subscription.refusals import Refusal, RefusalCode
from subscription.state import State


async def on_a_clock_of_its_own(service_env: ServiceEnv, days: int) -> SubscriptionDriver:
    subscription = await service_env.requested()
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.advance_clock_to(started + timedelta(days=days))
    return subscription


async def restricted(service_env: ServiceEnv) -> SubscriptionDriver:
    return await service_env.requested("2026-01-10 09:00", account={"domain": f"{unique_name('acme')}.co.kr"})


async def verified(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await restricted(service_env)
    [proof] = (await subscription.status()).proofs
    service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    await subscription.advance_to("2026-01-11 09:00")
    return subscription


async def renamed(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.requested("2026-01-10 09:00")
    await subscription.send(
        "rename_account", at="2026-01-10 10:00", group=unique_name("renamed"), by="somebody"
    )
    await subscription.send(
        "rename_account", at="2026-01-12 10:00", domain=f"{unique_name('held')}.co.kr", id="hold"
    )
    await subscription.advance_to("2026-01-12 12:00")
    return subscription


async def reserved(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.requested("2026-01-10 09:00")
    await subscription.send("switch_to_paid", at="2026-01-10 10:00", date="2026-01-20", term="MONTHLY")
    return subscription


async def paid_for_more_than_a_year(service_env: ServiceEnv, term: str) -> SubscriptionDriver:
    """Return a subscription with upgrades, options, a refused signal, renewals and a reservation."""
    subscription = await service_env.paid("2024-12-10 09:00", term=term, customer_id="C-1")
    await subscription.send("upgrade", at="2025-03-15 09:00", members=20)
    await subscription.send("upgrade", at="2025-03-15 09:00", plan="premium", id="twice")
    await subscription.send("change_renewal_option", at="2025-04-01 09:00", term="ANNUAL", members=5)
    await subscription.handle.signal("switch_to_paid", {"date": "2025-05-01", "term": "ANNUAL"})
    await subscription.advance_to("2026-05-01 00:00")
    await subscription.send("cancel", at="2026-05-01 09:00", date="2026-06-17")
    return subscription


async def left_early(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.paid("2026-01-10 09:00", customer_id="C-1")
    await subscription.send("upgrade", at="2026-03-15 09:00", members=20)
    await subscription.cancel_and_wait("2026-04-20 09:00")
    return subscription


async def lapsed(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.requested("2026-01-10 09:00")
    await subscription.advance_to("2026-03-11 09:00")
    await subscription.has_closed()
    return subscription


async def corrected(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.paid("2026-01-10 09:00", term="MONTHLY", customer_id="C-2")
    await subscription.advance_to("2026-04-01 00:00")
    await service_env.client.adjust(
        {
            "subscription_id": subscription.id,
            "id": "T-1",
            "key": f"{subscription.id}/SERVICE_FEE/2026-02-01",
            "amount": -1000,
            "reason": "GOODWILL",
            "reference": "T-1",
        }
    )
    return subscription


async def test_consistent_data_has_no_findings(isolated_env: ServiceEnv) -> None:
    subscriptions = await gather_all(
        [
            on_a_clock_of_its_own(isolated_env, 0),
            on_a_clock_of_its_own(isolated_env, 10),
            on_a_clock_of_its_own(isolated_env, 40),
            restricted(isolated_env),
            verified(isolated_env),
            renamed(isolated_env),
            reserved(isolated_env),
            paid_for_more_than_a_year(isolated_env, "MONTHLY"),
            paid_for_more_than_a_year(isolated_env, "ANNUAL"),
            left_early(isolated_env),
            lapsed(isolated_env),
            corrected(isolated_env),
        ]
    )
    taken = await isolated_env.request_outcome(
        isolated_env.request_body(account=subscriptions[0].request["account"])
    )
    assert isinstance(taken, Refusal)
    assert taken.code is RefusalCode.NAME_TAKEN
    for month in ("2025-03", "2026-03", "2026-04"):
        await isolated_env.temporal.execute_workflow(
            "InvoicesWorkflow", {"month": month}, id=unique_name("close"), task_queue=isolated_env.task_queue
        )

    assert await found(isolated_env) == []

    report = await reconciled(isolated_env)
    assert report["summary"] == "12 subscriptions checked, no findings."
    assert (report["checked"], report["by_code"]) == (12, {})
    states = {(await subscription.status()).state for subscription in subscriptions}
    assert states == {State.TRIAL, State.SUSPENDED, State.ACTIVE, State.ERASED}


async def stay_busy(service_env: ServiceEnv, over: asyncio.Event) -> SubscriptionDriver:
    """Send commands, advance months and rename, at least once and until `over` is set; then cancel."""
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    members = 10
    while members == 10 or not over.is_set():
        members += 1
        await subscription.send("upgrade", members=members, id=f"to-{members}")
        await subscription.send("change_renewal_option", term="MONTHLY" if members % 2 else "ANNUAL")
        await subscription.handle.signal("withdraw_reservation", {})
        await subscription.advance_clock_to(await subscription.clock.now() + timedelta(days=31))
        await subscription.send("rename_account", group=unique_name("busy"))
    await subscription.send("cancel", date=f"{await subscription.today()}")
    return subscription


async def test_work_in_progress_is_no_finding(isolated_env: ServiceEnv) -> None:
    over = asyncio.Event()
    living = asyncio.gather(*(stay_busy(isolated_env, over) for _ in range(3)))
    all_findings = [await found(isolated_env, grace_minutes=10) for _ in range(SIZES.checks_of_busy_data)]
    over.set()
    # They are cancelled while they are checked.
    all_findings += [await found(isolated_env, grace_minutes=10) for _ in range(3)]
    subscriptions = await living
    await gather_all(subscription.has_closed() for subscription in subscriptions)
    all_findings.append(await found(isolated_env))
    assert all_findings == [[]] * (SIZES.checks_of_busy_data + 4)
    for subscription in subscriptions:
        assert len(await subscription.events()) > 5
