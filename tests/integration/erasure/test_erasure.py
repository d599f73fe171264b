"""Erasure: nothing of a person is left anywhere, what stays is certified and still answered (R31)."""

import asyncio
from datetime import timedelta
from pathlib import Path

from argon2 import PasswordHasher
from support.data_search import found_in_database, found_in_workflow, is_gone_from_workflow
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver, is_known
from temporalio.client import Client

from activities.erasure import PERSONAL_DATA
from dev_stack.stack import EmbeddedStack
from subscription.refusals import RefusalCode
from subscription.state import Access, State
from subscription.timeline import ErasureCertificate


class Customer:
    """Somebody with a name, and a life in which all of it is used."""

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

    async def lives(self, house: ServiceEnv) -> SubscriptionDriver:
        """Through trial, renames, proof, two contract years, and what was refused on the way."""
        life = await house.requested(
            "2027-01-10 09:00",
            account={"group": self.groups[0]},
            admin_id=self.admin,
            company_name=self.company,
            company_phone="02-555-0199",
            password_hash=self.hash,
        )
        one, other = self.callers
        await life.asks("rename_account", at="2027-01-10 09:00", group=self.groups[1], by=one, id="rename")
        await life.asks("switch_to_paid", at="2027-01-10 09:00", date="2027-01-10", term="ANNUAL", by=other)
        await life.asks("rename_account", at="2027-01-11 10:00", domain=self.domain, by=one)
        [proof] = (await life.status()).proofs
        self.token = proof.txt_value.partition("=")[2]
        for name, argument in (
            ("cancel", {"date": "2027-01-11", "confirmation": f"{self.admin}@elsewhere", "by": other}),
            ("rename_account", {"group": self.groups[0], "by": one, "colour": self.company}),
        ):
            await life.handle.signal(name, argument)
        await life.passes_to("2027-01-11 10:00")
        house.dns.publish_txt(proof.txt_name, proof.txt_value)
        await life.asks("check_domain", at="2027-01-11 11:00", by=one, id="proof")
        await life.asks("upgrade", at="2027-03-15 09:00", members=20, by=other)
        await life.asks("change_renewal_option", at="2027-03-15 09:00", term="ANNUAL", by=one)
        await life.passes_to("2028-02-01 00:00")
        assert (await life.events()).count("CONTRACT_RENEWED") == 1
        told = {"day": "2028-12-15"}
        await house.temporal.execute_workflow(
            "NoticesWorkflow", told, id=unique_name("notices"), task_queue=house.task_queue
        )
        return life


async def test_r31_nothing_of_a_person_is_left_anywhere(
    house: ServiceEnv, stack: EmbeddedStack, stack_directory: Path
) -> None:
    customer = Customer()
    life = await customer.lives(house)
    runs = await life.has_run(3)
    # First, that the search finds what there is: histories have the phone number as it was typed.
    found = await found_in_workflow(house.temporal, life.workflow_id, customer.personal)
    assert {value for _, value in found} == {*customer.personal} - {"+8225550199"}
    found = await found_in_database(house, customer.personal)
    assert {value for _, value in found} == {*customer.personal} - {"02-555-0199"}
    assert {table for table, _ in found} == {*PERSONAL_DATA, "subscriptions"} - {
        "members",
        "console_sessions",
    }
    ledger, timeline = await life.ledger(), await life.client.timeline(life.id)

    await life.is_cancelled("2028-02-15 09:00")

    assert await found_in_database(house, customer.personal) == []
    known = [*runs, *await life.run_ids()]
    for run in runs:
        assert not await is_known(house.temporal.get_workflow_handle(life.workflow_id, run_id=run))
    await is_gone_from_workflow(house.temporal, life.workflow_id, customer.personal, known)
    await life.has_only_its_last_run()
    for name in (*customer.groups, customer.domain):
        assert [run async for run in house.temporal.list_workflows(f"AccountName = '{name}'")] == []

    async def is_gone_from_the_disk() -> bool:
        await stack.temporal.checkpoint()
        content = await asyncio.to_thread((stack_directory / "temporal" / "temporal.db").read_bytes)
        return not any(value.encode() in content for value in customer.personal)

    await wait_for("the bytes are gone from Temporal's database file", is_gone_from_the_disk)

    # What stays is still answered, with the opaque account that pays.
    assert (await life.ledger())[: len(ledger)] == ledger
    assert (await life.client.timeline(life.id))[: len(timeline)] == timeline
    assert (await life.events())[-2:] == ["CANCELED", "ERASED"]
    status = await life.status()
    assert (status.state, status.access, status.account) == (State.ERASED, Access.NONE, None)
    assert status.customer_id == life.request["customer_id"]
    assert await life.client.upcoming(life.id) == ()
    listed = await life.client.list(customer_id=status.customer_id)
    assert [(each.subscription_id, each.state) for each in listed] == [(life.id, State.ERASED)]
    agreed = await house.owner.fetchval(
        "SELECT count(*) FROM terms_agreements WHERE subscription_id = $1", life.id
    )
    assert agreed == 4


async def test_r31_the_request_is_in_one_run_which_ends_with_the_first_thing_that_happens(
    house: ServiceEnv,
) -> None:
    life = await house.requested("2027-01-10 09:00")
    secret = life.request["password_hash"].rpartition("$")[2]
    await life.client.settle(life.id)
    [first] = await life.has_run(1)
    assert await found_in_workflow(house.temporal, life.workflow_id, [secret]) == [(first, secret)]

    await life.asks("switch_to_paid", at="2027-01-10 09:00", date="2027-02-01", term="ANNUAL")

    assert (await life.has_run(2))[0] == first
    await life.passes_to("2027-02-01 00:00")
    assert await found_in_workflow(house.temporal, life.workflow_id, [secret]) == [(first, secret)]


async def test_r31_the_certificates_say_what_was_erased_how_many_and_when(house: ServiceEnv) -> None:
    customer = Customer()
    life = await customer.lives(house)
    runs = len(await life.has_run(3))
    counts = {
        table: await house.owner.fetchval(f"SELECT count(*) FROM {table} WHERE subscription_id = $1", life.id)
        for table in PERSONAL_DATA
    }
    assert counts["event_notes"] >= 8
    await life.is_cancelled("2028-02-15 09:00")
    [database, histories] = await life.client.certificates(life.id)
    assert dict(database.rows) == counts
    assert dict(histories.rows) == {"workflow_runs": runs}
    erased = (await life.client.timeline(life.id))[-1]
    assert database.erased_at == histories.erased_at == erased.at


async def test_r31_an_erased_subscription_can_be_asked_nothing_more(house: ServiceEnv) -> None:
    life = await house.requested("2027-01-10 09:00")
    await life.is_cancelled("2027-01-10 10:00")
    for command, argument in (
        ("cancel", {"date": "2027-01-10", "confirmation": "admin@acme"}),
        ("rename_account", {"group": unique_name("again")}),
        ("check_domain", {}),
    ):
        assert (await life.refused(command, **argument)).code is RefusalCode.SUBSCRIPTION_ENDED
    assert (await life.refused("cancel", date="2027-13-13")).code is RefusalCode.INVALID_ARGUMENT
    assert (await life.handle.query("status"))["state"] == "ERASED"
    assert await life.handle.query("timeline") == await life.handle.query("upcoming") == []


async def test_r15_r31_a_trial_that_lapses_is_erased_on_its_own_clock(house: ServiceEnv) -> None:
    life = await house.requested()
    started = (await life.status()).started_at
    assert started is not None
    assert not await life.clock.advance_to(started.replace(year=started.year + 1))
    await life.has_closed()
    assert await life.events() == ["TRIAL_STARTED", "TRIAL_ENDED", "CANCELED", "ERASED"]
    ended = (await life.client.timeline(life.id))[-1].at
    assert ended - started == timedelta(days=60)
    assert (await life.status()).account is None


async def test_r31_another_worker_finishes_an_erasure_that_was_broken_off(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as house:
        first = asyncio.create_task(house.worker().run())
        lives = await gather_all(house.requested() for _ in range(8))

        async def some_are_halfway() -> bool:
            parts = await house.owner.fetch("SELECT part FROM erasure_certificates")
            return any(row["part"] == "DATABASE" for row in parts)

        ends = [asyncio.create_task(life.asks("cancel", date=f"{await life.today()}")) for life in lives]
        await wait_for("an erasure is halfway", some_are_halfway)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

        async with house.worker():
            await asyncio.gather(*ends)
            await gather_all(life.has_closed() for life in lives)
        for life in lives:
            assert await life.events() == ["TRIAL_STARTED", "CANCELED", "ERASED"]
            names = [life.request["account"]["group"]]
            await is_gone_from_workflow(temporal, life.workflow_id, names)
            certificates = await life.client.certificates(life.id)
            assert [counted(certificate) for certificate in certificates] == [
                {"account_names": 1, "administrators": 1, "companies": 1, "workspaces": 1, "event_notes": 1},
                {"workflow_runs": 1},
            ]


async def test_r31_what_is_signalled_to_the_last_run_does_not_stay_either(house: ServiceEnv) -> None:
    life = await house.requested()
    [first] = await life.has_run(1)
    caller = unique_name("Kim Chulsoo")
    async with house.owner.acquire() as connection:
        # Who certifies second must wait for the first, so the last run stays open for as long as this does.
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SET LOCAL session_replication_role = replica")  # and locks nothing else
        await connection.execute(
            "INSERT INTO erasure_certificates VALUES ($1, 'HISTORIES', now(), '{}', now())", life.id
        )
        await life.asks("cancel", date=f"{await life.today()}")

        async def only_the_last_is_left() -> bool:
            return not await is_known(house.temporal.get_workflow_handle(life.workflow_id, run_id=first))

        await wait_for("the first run is deleted", only_the_last_is_left)
        for name in ("withdraw_reservation", "needs_attention", caller):
            await life.handle.signal(name, {"by": caller})
        runs = await life.run_ids()
        assert {value for _, value in await found_in_workflow(house.temporal, life.workflow_id, [caller])}
        await holding.rollback()
    await life.has_closed()
    await is_gone_from_workflow(house.temporal, life.workflow_id, [caller], runs)
    assert (await life.events())[-2:] == ["CANCELED", "ERASED"]
    assert len(await life.client.certificates(life.id)) == 2


def counted(certificate: ErasureCertificate) -> dict[str, int]:
    return {what: rows for what, rows in certificate.rows.items() if rows}


async def test_an_erasure_that_waits_for_a_mail_server_holds_up_no_other_subscription(
    house: ServiceEnv,
) -> None:
    customer = unique_name("C")
    ending, other = await gather_all(house.requested(customer_id=customer) for _ in range(2))
    async with house.owner.acquire() as connection:
        number = await connection.fetchval(
            """
            INSERT INTO notices (subscription_id, customer_id, kind, about, days)
            VALUES ($1, $2, 'TRIAL_ENDING', current_date, 7) RETURNING number
            """,
            ending.id,
            customer,
        )
        async with connection.transaction():
            # So a worker holds a notice for as long as the mail server takes to answer.
            await connection.execute("SELECT FROM notices WHERE number = $1 FOR UPDATE", number)
            await ending.asks("cancel", date=f"{await ending.today()}")

            async def waits() -> bool:
                waiting: bool = await house.owner.fetchval(
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                                   AND wait_event_type = 'Lock' AND query LIKE '%OUTDATED%')
                    """
                )
                return waiting

            await wait_for("the erasure waits", waits)
            async with asyncio.timeout(15):
                await other.asks("switch_to_paid", date=f"{await other.today()}", term="ANNUAL")
    await ending.has_closed()
    numbers = await house.owner.fetch(
        "SELECT number, subscription_id FROM customer_events WHERE customer_id = $1 ORDER BY number", customer
    )
    assert [row["number"] for row in numbers] == [1, 2, 3, 4, 5]
    assert [row["subscription_id"] for row in numbers[2:]] == [ending.id, other.id, ending.id]
