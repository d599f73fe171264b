"""Confirmations and warnings by email: each is sent once, to the addresses that can be read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest
from support.notices_job import run_notices_job
from support.polling import wait_for
from support.service_env import ServiceEnv, catalogue, open_service_env, publish
from support.smtp_server import SmtpServer, plain_text
from temporalio.client import Client

from adapters.email.dispatcher import NoticeDispatcher, run_notice_dispatcher
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from subscription.notice_outbox import Addressee, NoticeKind, NoticeState, OutboxNotice

CONTACT = "kim.chulsoo@hanbit.example"


@pytest.fixture
async def isolated_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open a separate environment, because a test reads all emails."""
    async with open_service_env(stack, temporal, works=False) as service_env:
        yield service_env


async def queued(service_env: ServiceEnv) -> list[tuple[NoticeKind, Addressee]]:
    return [(each.kind, each.addressee) for each in await service_env.client.notices()]


async def deliver(service_env: ServiceEnv, smtp_server: SmtpServer) -> None:
    await NoticeDispatcher(service_env.pool, smtp_server.mail_server(), NoticeEmails()).deliver_due()


async def read(service_env: ServiceEnv, smtp_server: SmtpServer, month: int, *days: int) -> list[str]:
    """Run the job on each day of 2027; return day, recipient and English subject of each new email."""
    read = []
    for day in days:
        today = date(2027, month, day)
        before = len(smtp_server.taken)
        await run_notices_job(service_env, today.isoformat(), server=smtp_server)
        read += [
            f"{today:%m-%d} {message['To'].partition('@')[2]}: {message['Subject'].partition(' / ')[2]}"
            for message in smtp_server.taken[before:]
        ]
    return read


async def test_r34_each_change_is_confirmed_once_despite_retries(
    isolated_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each activity fails after its transaction, so Temporal executes it again."""
    put, failed = PostgresWorkspaceProvisioner.put, set[int]()

    async def fail_once(self: PostgresWorkspaceProvisioner, workspace: object) -> None:
        version = workspace.version  # type: ignore[attr-defined]
        if version not in failed:
            failed.add(version)
            raise OSError
        await put(self, workspace)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresWorkspaceProvisioner, "put", fail_once)
    async with isolated_env.worker():
        subscription = await isolated_env.requested("2027-05-31 10:00")
        await subscription.send("cancel", at="2027-05-31 11:00", date="2027-07-01")
        await subscription.send("withdraw_reservation", at="2027-05-31 12:00")
        await subscription.send("cancel", at="2027-05-31 13:00", date="2027-07-01")
    assert failed == {1, 2, 3, 4}
    assert await queued(isolated_env) == [
        (NoticeKind.TRIAL_STARTED, Addressee.ADMINISTRATOR),
        (NoticeKind.CANCELLATION_RESERVED, Addressee.ADMINISTRATOR),
        (NoticeKind.RESERVATION_WITHDRAWN, Addressee.ADMINISTRATOR),
        (NoticeKind.CANCELLATION_RESERVED, Addressee.ADMINISTRATOR),
    ]


async def test_r34_daily_job_leaves_waiting_confirmations(isolated_env: ServiceEnv) -> None:
    """It makes waiting notices OUTDATED that are not due any more, but a confirmation is never due."""
    async with isolated_env.worker():
        await isolated_env.requested("2027-05-31 10:00")
        await run_notices_job(isolated_env, "2027-06-23", with_confirmations=True)
    assert {each.kind: each.state for each in await isolated_env.client.notices()} == {
        NoticeKind.TRIAL_STARTED: NoticeState.WAITING,
        NoticeKind.TRIAL_ENDING: NoticeState.WAITING,
    }


async def test_r34_undeliverable_contact_does_not_block_the_administrator(isolated_env: ServiceEnv) -> None:
    link = "https://console.example"
    async with SmtpServer() as smtp_server, isolated_env.worker(console_url=link):
        smtp_server.to_recipient = lambda recipient: "550 5.1.1" if recipient == CONTACT else "250 OK"
        subscription = await isolated_env.requested(contact_email=CONTACT)
        await deliver(isolated_env, smtp_server)
        states = {each.addressee: each.state for each in await isolated_env.client.notices()}
        assert states == {
            Addressee.ADMINISTRATOR: NoticeState.SENT,
            Addressee.CONTACT: NoticeState.UNDELIVERABLE,
        }
        [message] = smtp_server.taken
        assert message["To"] == f"admin@{subscription.request['account']['group']}.worksmobile.example"
        html = message.get_body(("html",))
        assert html is not None
        assert f'href="{link}/subscriptions/{subscription.id}"' in html.get_content()
        assert CONTACT not in str(message)


async def test_r34_waiting_confirmation_follows_a_rename(isolated_env: ServiceEnv) -> None:
    """Another customer may take the former name, and with it the former address."""
    async with SmtpServer() as smtp_server, isolated_env.worker():
        subscription = await isolated_env.requested()
        group = f"{subscription.request['account']['group']}-new"
        await subscription.send("rename_account", group=group)
        await deliver(isolated_env, smtp_server)
    assert [message["To"] for message in smtp_server.taken] == [f"admin@{group}.worksmobile.example"] * 2
    assert [message["Subject"].partition(" / ")[2] for message in smtp_server.taken] == [
        "Your free trial of NAVER WORKS has started",
        "Your account has a new name",
    ]


async def test_r34_contact_added_later_receives_the_due_notice(isolated_env: ServiceEnv) -> None:
    """The administrator's mailbox cannot be read while the subscription is suspended."""
    async with SmtpServer() as smtp_server, isolated_env.worker():
        subscription = await isolated_env.requested("2027-05-31 10:00")
        await subscription.advance_to("2027-06-30 10:00")
        for contact_email in (None, CONTACT):
            await isolated_env.owner.execute("UPDATE companies SET contact_email = $1", contact_email)
            await run_notices_job(isolated_env, "2027-07-24", server=smtp_server)
            await run_notices_job(isolated_env, "2027-07-25", server=smtp_server)
    assert [message["To"] == CONTACT for message in smtp_server.taken] == [False, True]


async def test_r34_dispatchers_of_several_workers_send_each_email_once(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker():
        settings = smtp_server.mail_server()

        async def nothing_waits() -> bool:
            return not await isolated_env.client.notices(state=NoticeState.WAITING)

        async with (
            run_notice_dispatcher(isolated_env.pool, settings, NoticeEmails(), poll_seconds=0.01),
            run_notice_dispatcher(isolated_env.pool, settings, NoticeEmails(), poll_seconds=0.01),
        ):
            for _ in range(5):
                await isolated_env.requested(contact_email=CONTACT)
            await wait_for("nothing waits", nothing_waits)
    assert len(smtp_server.message_ids) == len(set(smtp_server.message_ids)) == 10


async def test_r34_email_in_flight_is_recorded_when_the_worker_stops(isolated_env: ServiceEnv) -> None:
    """The dispatcher finishes the email in flight and sends no other; the next worker sends the rest."""
    on_its_way, may_arrive = asyncio.Event(), asyncio.Event()

    async def to_message(recipient: str) -> str:
        on_its_way.set()
        await may_arrive.wait()
        return "250 OK"

    async with SmtpServer() as smtp_server, isolated_env.worker():
        await isolated_env.requested(contact_email=CONTACT)
        smtp_server.to_message = to_message
        dispatcher = NoticeDispatcher(isolated_env.pool, smtp_server.mail_server(), NoticeEmails())
        working = asyncio.create_task(dispatcher.work(0.01))
        await on_its_way.wait()
        dispatcher.stop()
        may_arrive.set()
        await working
        assert [each.state for each in await isolated_env.client.notices()] == [
            NoticeState.SENT,
            NoticeState.WAITING,
        ]
        await deliver(isolated_env, smtp_server)
    assert len(smtp_server.message_ids) == len(set(smtp_server.message_ids)) == 2


async def test_r34_email_interrupted_before_its_acceptance_is_sent_once(isolated_env: ServiceEnv) -> None:
    """A dispatcher that ends during the transfer leaves the notice as it was."""
    on_its_way = asyncio.Event()

    async def to_message(recipient: str) -> str:
        on_its_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with SmtpServer() as smtp_server, isolated_env.worker():
        await isolated_env.requested()
        smtp_server.to_message = to_message
        working = asyncio.create_task(deliver(isolated_env, smtp_server))
        await on_its_way.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        [notice] = await isolated_env.client.notices()
        assert (notice.state, notice.attempts) == (NoticeState.WAITING, 0)
    async with SmtpServer() as smtp_server:
        await deliver(isolated_env, smtp_server)
        await deliver(isolated_env, smtp_server)
    assert len(smtp_server.taken) == 1


async def test_r34_lapsed_trial_is_warned_where_it_can_be_read(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker():
        subscription = await isolated_env.requested("2027-05-31 10:00", contact_email=CONTACT)
        await subscription.advance_to("2027-06-30 10:00")
        # The trial started with both addresses; its end is confirmed to the one that can be read.
        await deliver(isolated_env, smtp_server)
        assert sorted(message["To"] == CONTACT for message in smtp_server.taken) == [False, True, True]
        emails = await read(isolated_env, smtp_server, 7, 15, 16, 17, 22, 23, 24, 26, 27, 28, 29)
        assert emails == [
            f"07-{day} hanbit.example: All your NAVER WORKS data will be deleted on Friday, July 30, 2027"
            for day in (16, 23, 27, 29)
        ]
        text = plain_text(smtp_server.taken[-1])
        assert "Without a switch to a paid plan the service is canceled on Friday, July 30, 2027" in text
        assert "export all data before then" in text
        await subscription.advance_to("2027-07-30 10:00")
        await subscription.has_closed()
        assert await read(isolated_env, smtp_server, 7, 30, 31) == []
    left: list[OutboxNotice] = await isolated_env.client.notices(subscription_id=subscription.id)
    assert {(each.recipient, each.body) for each in left} == {(None, None)}


async def test_r34_r35_price_rise_and_cancellation_are_announced(isolated_env: ServiceEnv) -> None:
    dearer = {"list = 3600": "list = 4800", "annual = 3000": "annual = 4500"}
    assert await publish(isolated_env.pool, catalogue("dearer", "2027-08-01", "2027-06-01", **dearer))
    async with SmtpServer() as smtp_server, isolated_env.worker():
        subscription = await isolated_env.paid("2026-08-10 09:00", plan="lite")
        await subscription.send("change_renewal_option", at="2026-08-10 10:00", term="ANNUAL")
        emails = await read(isolated_env, smtp_server, 7, 10, 11, 12, 27, 31)
        emails += await read(isolated_env, smtp_server, 8, 2, 3)
        assert [each.partition(": ")[2] for each in emails] == [
            "What you pay for NAVER WORKS rises on Tuesday, August 10, 2027"
        ] * 2
        assert [each[:5] for each in emails] == ["07-11", "08-03"]
        text = plain_text(smtp_server.taken[-1])
        assert "₩3,000 per member per month, ₩30,000 per month in total (before VAT)" in text
        assert "₩4,500 per member per month, ₩45,000 per month in total (before VAT)" in text
        assert "Cancel on Tuesday, August 10, 2027: there is no cancellation fee on that day." in text
        await subscription.send("cancel", at="2026-08-11 10:00", date="2027-08-10")
        emails = await read(isolated_env, smtp_server, 7, 11, 12, 26, 27, 28)
        emails += await read(isolated_env, smtp_server, 8, 2, 3, 4, 6, 7, 8, 9)
        assert [(each[:5], each.partition(": ")[2][:28]) for each in emails] == [
            ("07-11", "Your contract period ends on"),
            *((day, "All your NAVER WORKS data wi") for day in ("07-27", "08-03", "08-07", "08-09")),
        ]
