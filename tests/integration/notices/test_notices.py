"""Notices: each is sent once, in Korean and in English, and outdated notices are not sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.data_search import found_in_database
from support.lock_waits import wait_for_blocked_sessions
from support.notices_job import WEDNESDAY, run_notices_job
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, catalogue, open_service_env, publish, unique_name
from support.smtp_server import SENDER, SmtpServer, plain_text
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client, WorkflowFailureError

from activities.notifications import NO_SERVER
from dev_stack.stack import EmbeddedStack
from subscription.notice_outbox import NoticeKind, NoticeState
from subscription.refusals import RefusalCode
from workflows import notifications


@pytest.fixture
async def isolated_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open a separate environment, because the job notifies all its customers; the test runs the worker."""
    async with open_service_env(stack, temporal, works=False) as service_env:
        yield service_env


async def outbox(
    service_env: ServiceEnv, subscription: SubscriptionDriver | None = None
) -> list[tuple[NoticeKind, str, int, NoticeState]]:
    found = await service_env.client.notices(
        subscription_id=subscription.id if subscription else None, limit=1000
    )
    return [
        (each.kind, each.event_date.isoformat(), each.threshold_days, each.state)
        for each in found
        if each.sequence == 0
    ]


async def trial(service_env: ServiceEnv, **changes: Any) -> SubscriptionDriver:
    """Return a trial that ends on 30 June 2027 at 10:00, a week after the 23rd."""
    return await service_env.requested("2027-05-31 10:00", **changes)


def address(subscription: SubscriptionDriver) -> str:
    return f"admin@{subscription.request['account']['group']}.worksmobile.example"


# -- content -----------------------------------------------------------------------------------------


async def one_of_each_kind(service_env: ServiceEnv) -> dict[NoticeKind, SubscriptionDriver]:
    ending = await trial(service_env)
    switching = await service_env.requested("2027-06-10 09:00", plan="lite")
    await switching.send("switch_to_paid", at="2027-06-10 09:00", date="2027-06-24", term="ANNUAL")
    leaving = await service_env.paid("2027-03-01 09:00", plan="lite")
    await leaving.send("cancel", at="2027-03-01 09:00", date="2027-06-24")
    renewing = await service_env.paid("2026-07-23 09:00", plan="lite")
    option = {"term": "ANNUAL", "plan": "basic", "members": 5}
    await renewing.send("change_renewal_option", at="2026-07-23 09:00", **option)
    unverified = await service_env.requested(
        "2027-06-20 09:00", account={"domain": f"{unique_name('acme')}.co.kr"}
    )
    renaming = await service_env.paid("2027-06-20 09:00")
    await renaming.send("rename_account", at="2027-06-20 09:00", domain=f"{unique_name('acme')}.co.kr")
    return {
        NoticeKind.TRIAL_ENDING: ending,
        NoticeKind.DELETION_DUE: leaving,
        NoticeKind.SWITCH_DUE: switching,
        NoticeKind.CONTRACT_ENDING: renewing,
        NoticeKind.DOMAIN_UNVERIFIED: unverified,
        NoticeKind.RENAME_UNVERIFIED: renaming,
    }


async def test_each_notice_kind_arrives_once_in_both_languages(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscriptions = await one_of_each_kind(isolated_env)
        report = await run_notices_job(isolated_env, server=smtp_server)
        again = await gather_all(run_notices_job(isolated_env, server=smtp_server) for _ in range(3))

        assert (report["queued"], report["sent"], report["undeliverable"], report["waiting"]) == (6, 6, 0, 0)
        assert {each["queued"] + each["sent"] for each in again} == {0}
        assert len(smtp_server.taken) == len(set(smtp_server.message_ids)) == 6
        assert [state for *_, state in await outbox(isolated_env)] == [NoticeState.SENT] * 6

    def text(kind: NoticeKind) -> str:
        subscription = f"구독: {subscriptions[kind].id}"
        [message] = [each for each in smtp_server.taken if subscription in plain_text(each)]
        return f"{message['To']}\n{message['Subject']}\n{plain_text(message)}"

    ending = text(NoticeKind.TRIAL_ENDING)
    assert address(subscriptions[NoticeKind.TRIAL_ENDING]) in ending
    assert "[NAVER WORKS] 무료 체험이 2027. 6. 30.(수)에 끝납니다 / " in ending
    assert " / Your free trial ends on Wednesday, June 30, 2027\n" in ending
    assert "2027. 7. 30.(금) 10:00에 서비스가 해지됩니다" in ending
    assert "canceled on Friday, July 30, 2027 at 10:00 Korean time" in ending

    switching = text(NoticeKind.SWITCH_DUE)
    assert "연 단위 계약, 2027. 6. 24.(목)부터 2028. 6. 23.(금)까지" in switching
    assert "₩3,000 per member per month, ₩30,000 per month in total (before VAT)" in switching

    # June: 23/30 of 30,000. Repayment: 6,000 for 3 months and 23/30, 22,600. A tenth of the 247,000 that
    # 7/30 of June and 8 months would have cost: 24,700.
    leaving = text(NoticeKind.DELETION_DUE)
    assert "청구되는 금액은 70,300원이며, 그중 47,300원은" in leaving
    assert "₩70,300 is charged then (before VAT), of which ₩47,300 is for canceling before" in leaving

    renewing = text(NoticeKind.CONTRACT_ENDING)
    assert "계약 기간이 2027. 7. 22.(목)에 끝납니다" in renewing
    assert "연 단위 계약, 2028. 7. 22.(토)까지" in renewing
    assert "Plan: Basic, 5 members" in renewing
    assert "This is the renewal option that you chose." in renewing

    unverified = text(NoticeKind.DOMAIN_UNVERIFIED)
    domain = subscriptions[NoticeKind.DOMAIN_UNVERIFIED].request["account"]["domain"]
    assert f"admin@{domain}" in unverified
    [proof] = (await subscriptions[NoticeKind.DOMAIN_UNVERIFIED].status()).proofs
    assert unverified.count(f'{domain}  TXT  "{proof.txt_value}"') == 2

    [proof] = (await subscriptions[NoticeKind.RENAME_UNVERIFIED].status()).proofs
    assert proof.cname_name in text(NoticeKind.RENAME_UNVERIFIED)


async def test_email_is_valid_for_every_mail_server(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await trial(isolated_env)
        await run_notices_job(isolated_env, server=smtp_server)
    [message], [envelope], [raw] = smtp_server.taken, smtp_server.envelopes, smtp_server.raw
    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 998
    assert envelope == ("notices@works.example", [address(subscription)])
    assert (message["From"], message["To"]) == (f"{SENDER}", address(subscription))
    assert (message["Auto-Submitted"], message["Content-Language"]) == ("auto-generated", "ko, en")
    assert message["Message-ID"].endswith("@works.example>")
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    parts = [(part.get_content_type(), part.get_content_charset()) for part in message.iter_parts()]
    assert parts == [("text/plain", "utf-8"), ("text/html", "utf-8")]
    [kept] = await isolated_env.client.notices()
    assert (kept.subject, kept.recipient) == (message["Subject"], address(subscription))
    assert (kept.body or "").splitlines() == plain_text(message).splitlines()


async def test_missed_notice_is_sent_late_unless_nearer_one_is_due(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await trial(isolated_env)
        for day in ("2027-06-22", "2027-06-25", "2027-06-26", "2027-06-29", "2027-06-30", "2027-07-01"):
            await run_notices_job(isolated_env, day, server=smtp_server)
    ends = "2027-06-30"
    assert await outbox(isolated_env, subscription) == [
        (NoticeKind.TRIAL_ENDING, ends, 7, NoticeState.SENT),
        (NoticeKind.TRIAL_ENDING, ends, 1, NoticeState.SENT),
    ]
    assert len(smtp_server.taken) == 2


async def test_job_without_argument_runs_for_today(isolated_env: ServiceEnv) -> None:
    await publish(isolated_env.pool, catalogue("2020-02", "2020-02-01", **{"days = 30  ": "days = 5  "}))
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await isolated_env.requested()
        report = await run_notices_job(isolated_env, None, server=smtp_server)
    assert (report["queued"], report["sent"]) == (1, 1)
    assert report["day"] == (await subscription.today()).isoformat()
    [notice] = await isolated_env.client.notices()
    status = await subscription.status()
    assert status.trial_ends_at is not None
    assert (notice.event_date, notice.threshold_days) == (status.trial_ends_at.date(), 7)


async def test_concurrent_runs_send_each_notice_once(
    isolated_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more subscriptions and notices than fit into one page."""
    monkeypatch.setattr("activities.notifications._SUBSCRIPTIONS_PER_PAGE", 50)
    monkeypatch.setattr("adapters.email.dispatcher._NOTICES_PER_PAGE", 10)
    # Each of them continues as new after its first page.
    monkeypatch.setattr(notifications, "_PAGES_A_RUN", 1)
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await trial(isolated_env)
        await isolated_env.owner.execute(
            """
            INSERT INTO subscriptions
            SELECT (jsonb_populate_record(original, jsonb_build_object(
                       'subscription_id', 'copy-' || n, 'request_id', 'copy-' || n,
                       'snapshot', original.snapshot::jsonb
                                   || jsonb_build_object('subscription_id', 'copy-' || n))
                   )).*
              FROM subscriptions AS original, generate_series(1, 52) AS n WHERE subscription_id = $1
            """,
            subscription.id,
        )
        reports = await gather_all(run_notices_job(isolated_env, server=smtp_server) for _ in range(2))

        async def nothing_waits() -> bool:
            return not await isolated_env.client.notices(state=NoticeState.WAITING)

        await wait_for("nothing waits", nothing_waits)
        went_on = f"TaskQueue = '{isolated_env.task_queue}' AND ExecutionStatus = 'ContinuedAsNew'"
        assert (await isolated_env.temporal.count_workflows(went_on)).count >= 2
    assert sum(report["queued"] for report in reports) == 53
    assert len(smtp_server.message_ids) == len(set(smtp_server.message_ids)) == 53


@pytest.mark.parametrize("argument", [{"day": "soon"}, {"day": 3}, {"date": WEDNESDAY}, [WEDNESDAY]])
async def test_unreadable_argument_fails_the_run(service_env: ServiceEnv, argument: Any) -> None:
    with pytest.raises(WorkflowFailureError) as failure:
        await service_env.temporal.execute_workflow(
            "NoticesWorkflow", argument, id=unique_name("notices"), task_queue=service_env.task_queue
        )
    assert getattr(failure.value.cause, "type", None) == RefusalCode.INVALID_ARGUMENT


# -- outdated notices --------------------------------------------------------------------------------


async def test_without_mail_server_outbox_fills_and_job_reports_it(isolated_env: ServiceEnv) -> None:
    async with isolated_env.worker():
        subscription = await trial(isolated_env)
        report = await run_notices_job(isolated_env)
        [notice] = await isolated_env.client.notices()
        assert report["summary"] == "1 new notice. No mail server is set; waiting in the outbox: 1."
        assert (notice.state, notice.attempts, notice.last_error) == (NoticeState.WAITING, 0, NO_SERVER)
        assert (notice.recipient, notice.completed_at) == (address(subscription), None)
        # Without a mail server, other systems send from the outbox, so its content must stay current.
        await run_notices_job(isolated_env, "2027-06-27")
        assert [state for *_, state in await outbox(isolated_env)] == [
            NoticeState.OUTDATED,
            NoticeState.WAITING,
        ]

    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        assert (await run_notices_job(isolated_env, "2027-06-28", server=smtp_server))["sent"] == 1
    assert len(smtp_server.taken) == 1


async def test_queued_notice_is_sent_with_current_content(isolated_env: ServiceEnv) -> None:
    async with isolated_env.worker():
        subscription = await isolated_env.paid("2026-07-23 09:00", plan="lite")
        await run_notices_job(isolated_env)
        await subscription.send("change_renewal_option", at="2026-07-24 09:00", term="ANNUAL", plan="premium")
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        report = await run_notices_job(isolated_env, "2027-06-24", server=smtp_server)
    assert (report["queued"], report["sent"]) == (0, 1)
    assert "Plan: Premium, 10 members" in plain_text(smtp_server.taken[0])


async def test_withdrawn_notice_is_not_sent_until_due_again(
    isolated_env: ServiceEnv,
) -> None:
    async with isolated_env.worker():
        subscription = await isolated_env.requested("2027-06-10 09:00")
        await subscription.send("cancel", at="2027-06-10 09:00", date="2027-06-24")
        await run_notices_job(isolated_env)
        await subscription.send("withdraw_reservation", at="2027-06-10 10:00")
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        report = await run_notices_job(isolated_env, server=smtp_server)
        assert (report["queued"], report["sent"], report["waiting"]) == (0, 0, 0)
        key = (NoticeKind.DELETION_DUE, "2027-06-24", 1)
        assert await outbox(isolated_env) == [(*key, NoticeState.OUTDATED)]
        await subscription.send("cancel", at="2027-06-10 11:00", date="2027-06-24")
        assert (await run_notices_job(isolated_env, server=smtp_server))["sent"] == 1
        await subscription.send("withdraw_reservation", at="2027-06-10 12:00")
        await subscription.send("cancel", at="2027-06-10 13:00", date="2027-06-24")
        assert (await run_notices_job(isolated_env, server=smtp_server))["sent"] == 0
    assert await outbox(isolated_env) == [(*key, NoticeState.SENT)]
    assert len(smtp_server.taken) == 1


# -- erasure (R31) -----------------------------------------------------------------------------------


async def test_r31_erased_customer_gets_no_email(
    isolated_env: ServiceEnv,
) -> None:
    """Nothing that is kept of the notice contains personal data."""
    async with isolated_env.worker():
        group = unique_name("hanbit")
        subscription = await trial(isolated_env, admin_id="hong.gildong", account={"group": group})
        await run_notices_job(isolated_env)
        found = await found_in_database(isolated_env, ["hong.gildong", group])
        assert {"notice_emails"} < {table for table, _ in found}
        await subscription.cancel_and_wait("2027-06-20 09:00")
        [certificate, _] = await isolated_env.client.certificates(subscription.id)
        assert certificate.rows["notice_emails"] == 1
        assert await found_in_database(isolated_env, ["hong.gildong", group]) == []
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        assert (await run_notices_job(isolated_env, "2027-06-24", server=smtp_server))["waiting"] == 0
        assert smtp_server.taken == []
    [notice] = await isolated_env.client.notices(subscription_id=subscription.id)
    assert (notice.state, notice.recipient, notice.body) == (NoticeState.OUTDATED, None, None)


async def test_r31_erasure_waits_for_email_in_flight(
    isolated_env: ServiceEnv,
) -> None:
    """No email follows after the erasure."""
    on_its_way, may_arrive = asyncio.Event(), asyncio.Event()

    async def to_message(recipient: str) -> str:
        on_its_way.set()
        await may_arrive.wait()
        return "250 OK"

    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        smtp_server.to_message = to_message
        subscription = await trial(isolated_env)
        working = asyncio.create_task(run_notices_job(isolated_env, server=smtp_server))
        await on_its_way.wait()
        leaving = asyncio.create_task(subscription.send("cancel", at="2027-06-20 09:00", date="2027-06-20"))
        await wait_for_blocked_sessions(isolated_env.owner, query="UPDATE notices")
        assert await isolated_env.client.certificates(subscription.id) == []
        may_arrive.set()
        await asyncio.gather(working, leaving)
        await subscription.has_closed()
        assert (await run_notices_job(isolated_env, "2027-06-27", server=smtp_server))["queued"] == 0
    assert len(smtp_server.taken) == 1
    [notice] = await isolated_env.client.notices()
    assert (notice.state, notice.recipient) == (NoticeState.SENT, None)
