"""Erasure: no personal data is left; the remaining data is certified and can be queried (R31)."""

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from support.data_search import found_in_database, found_in_workflow, is_deleted_from_workflow
from support.lock_waits import wait_for_blocked_sessions
from support.polling import PATIENCE_SECONDS, gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver, is_known

from activities.erasure import PERSONAL_DATA
from dev_stack.stack import EmbeddedStack
from subscription.refusals import RefusalCode
from subscription.state import Access, State


class Customer:
    """A customer with personal data, and a subscription that uses all of it."""

    def __init__(self) -> None:
        self.company = unique_name("한양무역 Hanyang")
        self.admin = unique_name("hong.gildong")
        self.groups = [unique_name("hanyang"), unique_name("hanyang-new")]
        self.domain = f"{unique_name('hanyang')}.co.kr"
        self.callers = [f"{unique_name('Kim Chulsoo')} of sales", f"{unique_name('이영희')} of support"]
        self.hash = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(self.company)
        self.token = ""

    @property
    def personal(self) -> list[str]:
        return [
            self.company,
            "02-555-0199",
            "+8225550199",
            self.admin,
            *self.groups,
            self.domain,
            *self.callers,
            self.hash,
            self.hash.rpartition("$")[2],
            self.token,
        ]

    async def subscriptions(self, service_env: ServiceEnv) -> SubscriptionDriver:
        """Return a subscription after trial, renames, verification, two contract years and refusals."""
        subscription = await service_env.requested(
            "2027-01-10 09:00",
            account={"group": self.groups[0]},
            admin_id=self.admin,
            company_name=self.company,
            company_phone="02-555-0199",
            password_hash=self.hash,
        )
        one, other = self.callers
        await subscription.send(
            "rename_account", at="2027-01-10 09:00", group=self.groups[1], by=one, id="rename"
        )
        await subscription.send(
            "switch_to_paid", at="2027-01-10 09:00", date="2027-01-10", term="ANNUAL", by=other
        )
        await subscription.send("rename_account", at="2027-01-11 10:00", domain=self.domain, by=one)
        [proof] = (await subscription.status()).proofs
        self.token = proof.txt_value.partition("=")[2]
        for name, argument in (
            ("cancel", {"date": "2027-01-11", "confirmation": f"{self.admin}@elsewhere", "by": other}),
            ("rename_account", {"group": self.groups[0], "by": one, "colour": self.company}),
        ):
            await subscription.handle.signal(name, argument)
        await subscription.advance_to("2027-01-11 10:00")
        service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
        await subscription.send("check_domain", at="2027-01-11 11:00", by=one, id="proof")
        await subscription.send("upgrade", at="2027-03-15 09:00", members=20, by=other)
        await subscription.send("change_renewal_option", at="2027-03-15 09:00", term="ANNUAL", by=one)
        await subscription.advance_to("2028-02-01 00:00")
        assert (await subscription.events()).count("CONTRACT_RENEWED") == 1
        argument = {"day": "2028-12-15"}
        await service_env.temporal.execute_workflow(
            "NoticesWorkflow", argument, id=unique_name("notices"), task_queue=service_env.task_queue
        )
        return subscription


async def test_r31_erasure_leaves_no_personal_data(service_env: ServiceEnv, stack: EmbeddedStack) -> None:
    """The certificates have the tables, the counts and the time of the erasure."""
    customer = Customer()
    subscription = await customer.subscriptions(service_env)
    runs = await subscription.has_run(3)
    # First check the search: histories have the phone number as it was entered.
    found = await found_in_workflow(service_env.temporal, subscription.workflow_id, customer.personal)
    assert {value for _, value in found} == {*customer.personal} - {"+8225550199"}
    found = await found_in_database(service_env, customer.personal)
    assert {value for _, value in found} == {*customer.personal} - {"02-555-0199"}
    assert {table for table, _ in found} == {*PERSONAL_DATA, "subscriptions"} - {
        "members",
        "console_sessions",
        "exports",
    }
    ledger, timeline = await subscription.ledger(), await subscription.client.timeline(subscription.id)
    counts = {
        table: await service_env.owner.fetchval(
            f"SELECT count(*) FROM {table} WHERE subscription_id = $1", subscription.id
        )
        for table in PERSONAL_DATA
    }
    assert counts["event_private_data"] >= 7

    await subscription.cancel_and_wait("2028-02-15 09:00")

    assert await found_in_database(service_env, customer.personal) == []
    known = [*runs, *await subscription.run_ids()]
    for run in runs:
        assert not await is_known(
            service_env.temporal.get_workflow_handle(subscription.workflow_id, run_id=run)
        )
    await is_deleted_from_workflow(service_env.temporal, subscription.workflow_id, customer.personal, known)
    await subscription.has_only_its_last_run()
    for name in (*customer.groups, customer.domain):
        assert [run async for run in service_env.temporal.list_workflows(f"AccountName = '{name}'")] == []

    async def is_deleted_from_disk() -> bool:
        content = await stack.temporal.stored_bytes()
        return not any(value.encode() in content for value in customer.personal)

    await wait_for("the bytes are gone from Temporal's database file", is_deleted_from_disk)

    [database, histories] = await subscription.client.certificates(subscription.id)
    assert dict(database.rows) == counts
    assert dict(histories.rows) == {"workflow_runs": len(runs)}
    erased = (await subscription.client.timeline(subscription.id))[-1]
    assert database.erased_at == histories.erased_at == erased.at
    # The remaining data can be queried; it has the opaque customer ID.
    assert (await subscription.ledger())[: len(ledger)] == ledger
    anonymous = [entry.model_copy(update={"by": None}) for entry in timeline]
    assert (await subscription.client.timeline(subscription.id))[: len(timeline)] == anonymous != timeline
    assert (await subscription.events())[-2:] == ["CANCELED", "ERASED"]
    status = await subscription.status()
    assert (status.state, status.access, status.account) == (State.ERASED, Access.NONE, None)
    assert status.customer_id == subscription.request["customer_id"]
    assert await subscription.client.upcoming(subscription.id) == ()
    listed = await subscription.client.list(customer_id=status.customer_id)
    assert [(each.subscription_id, each.state) for each in listed] == [(subscription.id, State.ERASED)]
    agreed = await service_env.owner.fetchval(
        "SELECT count(*) FROM terms_agreements WHERE subscription_id = $1", subscription.id
    )
    assert agreed == 4


async def test_r31_request_run_ends_with_first_event(
    service_env: ServiceEnv,
) -> None:
    """The request is in the history of one run only, which ends with the first event."""
    subscription = await service_env.requested("2027-01-10 09:00")
    secret = subscription.request["password_hash"].rpartition("$")[2]
    await subscription.client.settle(subscription.id)
    [first] = await subscription.has_run(1)
    assert await found_in_workflow(service_env.temporal, subscription.workflow_id, [secret]) == [
        (first, secret)
    ]

    await subscription.send("switch_to_paid", at="2027-01-10 09:00", date="2027-02-01", term="ANNUAL")

    assert (await subscription.has_run(2))[0] == first
    await subscription.advance_to("2027-02-01 00:00")
    assert await found_in_workflow(service_env.temporal, subscription.workflow_id, [secret]) == [
        (first, secret)
    ]


async def test_r31_erased_subscription_accepts_no_commands(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested("2027-01-10 09:00")
    await subscription.cancel_and_wait("2027-01-10 10:00")
    for command, argument in (
        ("cancel", {"date": "2027-01-10", "confirmation": "admin@acme"}),
        ("rename_account", {"group": unique_name("again")}),
        ("check_domain", {}),
    ):
        assert (await subscription.expect_refusal(command, **argument)).code is RefusalCode.SUBSCRIPTION_ENDED
    assert (
        await subscription.expect_refusal("cancel", date="2027-13-13")
    ).code is RefusalCode.INVALID_ARGUMENT
    assert (await subscription.handle.query("status"))["state"] == "ERASED"
    assert await subscription.handle.query("timeline") == await subscription.handle.query("upcoming") == []


async def test_r15_r31_expired_trial_is_erased_on_test_clock(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    started = (await subscription.status()).started_at
    assert started is not None
    assert not await subscription.clock.advance_to(started.replace(year=started.year + 1))
    await subscription.has_closed()
    assert await subscription.events() == ["TRIAL_STARTED", "TRIAL_ENDED", "CANCELED", "ERASED"]
    ended = (await subscription.client.timeline(subscription.id))[-1].at
    assert ended - started == timedelta(days=60)
    assert (await subscription.status()).account is None


@pytest.mark.parametrize("sent", [("withdraw_reservation", "unknown"), ("needs_attention",)])
async def test_r31_signals_to_the_last_run_are_erased(service_env: ServiceEnv, sent: tuple[str, ...]) -> None:
    subscription = await service_env.requested()
    [first] = await subscription.has_run(1)
    caller = unique_name("Kim Chulsoo")
    async with service_env.owner.acquire() as connection:
        # A second certification waits for the first, so the last run stays open during this transaction.
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SET LOCAL session_replication_role = replica")  # without other locks
        await connection.execute(
            "INSERT INTO erasure_certificates VALUES ($1, 'HISTORIES', now(), '{}', now())", subscription.id
        )
        await subscription.send("cancel", date=f"{await subscription.today()}")

        async def only_the_last_is_left() -> bool:
            return not await is_known(
                service_env.temporal.get_workflow_handle(subscription.workflow_id, run_id=first)
            )

        await wait_for("the first run is deleted", only_the_last_is_left)
        for name in sent:
            await subscription.handle.signal(caller if name == "unknown" else name, {"by": caller})
        runs = await subscription.run_ids()
        assert {
            value
            for _, value in await found_in_workflow(service_env.temporal, subscription.workflow_id, [caller])
        }
        await holding.rollback()
    await subscription.has_closed()
    await is_deleted_from_workflow(service_env.temporal, subscription.workflow_id, [caller], runs)
    assert (await subscription.events())[-2:] == ["CANCELED", "ERASED"]
    assert len(await subscription.client.certificates(subscription.id)) == 2


async def test_erasure_waiting_for_mail_server_blocks_no_other(
    service_env: ServiceEnv,
) -> None:
    customer = unique_name("C")
    ending, other = await gather_all(service_env.requested(customer_id=customer) for _ in range(2))
    async with service_env.owner.acquire() as connection:
        number = await connection.fetchval(
            """
            INSERT INTO notices (subscription_id, customer_id, kind, event_date, threshold_days)
            VALUES ($1, $2, 'TRIAL_ENDING', current_date, 7) RETURNING number
            """,
            ending.id,
            customer,
        )
        async with connection.transaction():
            # A worker locks a notice like this until the mail server responds.
            await connection.execute("SELECT FROM notices WHERE number = $1 FOR UPDATE", number)
            await ending.send("cancel", date=f"{await ending.today()}")
            await wait_for_blocked_sessions(service_env.owner, query="UPDATE notices")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await other.send("switch_to_paid", date=f"{await other.today()}", term="ANNUAL")
    await ending.has_closed()
    numbers = await service_env.owner.fetch(
        "SELECT number, subscription_id FROM customer_events WHERE customer_id = $1 ORDER BY number", customer
    )
    assert [row["number"] for row in numbers] == [1, 2, 3, 4, 5]
    assert [row["subscription_id"] for row in numbers[2:]] == [ending.id, other.id, ending.id]
