"""Email delivery: no mail server failure loses a notice, and duplicates have the same Message-ID."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from support.notices_job import run_notices_job
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env
from support.smtp_server import PASSWORD, SENDER, USER, SmtpServer, plain_text, silent_server
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client

from adapters.email.dispatcher import run_notice_dispatcher
from adapters.email.notice_emails import NoticeEmails
from adapters.email.settings import MailServer
from dev_stack.child_server import LOOPBACK, free_ports
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.doctor import CheckStatus, check_database
from subscription.notice_outbox import NoticeState, OutboxNotice

from .test_notices import address, trial


@pytest.fixture
async def isolated_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open a separate environment, because the job notifies all its customers; the test runs the worker."""
    async with open_service_env(stack, temporal, works=False) as service_env:
        yield service_env


async def notice_of(subscription: SubscriptionDriver) -> OutboxNotice:
    [notice] = [
        each
        for each in await subscription.client.notices(subscription_id=subscription.id)
        if not each.sequence
    ]
    return notice


async def is_sent(service_env: ServiceEnv, server: SmtpServer, count: int) -> None:
    """Run the dispatcher of a worker until this many are sent."""

    async def sent() -> bool:
        return len(await service_env.client.notices(state=NoticeState.SENT)) == count

    async with run_notice_dispatcher(
        service_env.pool, server.mail_server(), NoticeEmails(), poll_seconds=0.05
    ):
        await wait_for(f"{count} are sent", sent)


async def make_due_now(service_env: ServiceEnv) -> None:
    """Make postponed notices due now, as if their delay had passed."""
    await service_env.owner.execute("UPDATE notices SET next_attempt_at = clock_timestamp()")


# -- refused and postponed emails --------------------------------------------------------------------


async def test_refused_address_fails_and_other_emails_are_sent(
    isolated_env: ServiceEnv,
) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        unknown, *known = await gather_all(trial(isolated_env) for _ in range(3))
        smtp_server.to_recipient = lambda recipient: (
            f"550 5.1.1 <{recipient}>: no such user" if recipient == address(unknown) else "250 OK"
        )
        report = await run_notices_job(isolated_env, server=smtp_server)
        assert (report["queued"], report["sent"], report["undeliverable"], report["waiting"]) == (3, 2, 1, 0)
        assert (await run_notices_job(isolated_env, server=smtp_server))["undeliverable"] == 0
    assert sorted(message["To"] for message in smtp_server.taken) == sorted(map(address, known))
    notice = await notice_of(unknown)
    assert (notice.state, notice.attempts) == (NoticeState.UNDELIVERABLE, 1)
    # The server's own text has the address.
    assert notice.last_error == "the address is refused: 550 5.1.1"


async def test_temporarily_refused_email_is_retried_and_sent_once(
    isolated_env: ServiceEnv,
) -> None:
    refusals = iter(["451 4.7.1 greylisted"])
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await trial(isolated_env)
        smtp_server.to_recipient = lambda recipient: next(refusals, "250 OK")
        report = await run_notices_job(isolated_env, server=smtp_server)
        assert (report["queued"], report["sent"], report["undeliverable"], report["waiting"]) == (1, 0, 0, 1)
        notice = await notice_of(subscription)
        assert (notice.attempts, notice.last_error) == (1, "the address is refused: 451 4.7.1")
        assert notice.next_attempt_at is not None
        assert notice.next_attempt_at - notice.queued_at > timedelta(seconds=1)
        await is_sent(isolated_env, smtp_server, 1)
    assert len(smtp_server.taken) == 1
    assert (await notice_of(subscription)).attempts == 2


async def test_response_to_message_decides_the_notice_state(isolated_env: ServiceEnv) -> None:
    outcomes = {
        "554 5.6.0 not like this": (NoticeState.UNDELIVERABLE, 1, "the message is refused: 554 5.6.0"),
        "452 4.3.1 no room": (NoticeState.WAITING, 1, "the message is refused: 452 4.3.1"),
        "451 later": (NoticeState.WAITING, 1, "the message is refused: 451"),
    }
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscriptions = {answer: await trial(isolated_env) for answer in outcomes}
        answers = {address(subscription): answer for answer, subscription in subscriptions.items()}

        async def to_message(recipient: str) -> str:
            return answers[recipient]

        smtp_server.to_message = to_message
        await run_notices_job(isolated_env, server=smtp_server)
        for answer, outcome in outcomes.items():
            notice = await notice_of(subscriptions[answer])
            assert (notice.state, notice.attempts, notice.last_error) == outcome
    assert smtp_server.taken == []


async def test_email_fails_after_three_days_of_attempts(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        smtp_server.to_recipient = lambda recipient: "452 4.2.2 mailbox full"
        subscription = await trial(isolated_env)
        await run_notices_job(isolated_env, server=smtp_server)
        await isolated_env.owner.execute("UPDATE notices SET attempts = 18")
        for attempts, state in ((19, NoticeState.WAITING), (20, NoticeState.UNDELIVERABLE)):
            await make_due_now(isolated_env)
            await run_notices_job(isolated_env, server=smtp_server)
            notice = await notice_of(subscription)
            assert (notice.attempts, notice.state) == (attempts, state)
        assert notice.last_error == "the address is refused: 452 4.2.2"
    assert smtp_server.taken == []


async def test_doctor_reports_failed_emails(isolated_env: ServiceEnv) -> None:
    async def finding() -> tuple[CheckStatus, str]:
        findings = {each.what: each async for each in check_database(isolated_env.database_url, "here")}
        return findings["notices"].verdict, findings["notices"].text

    async with isolated_env.worker():
        subscription = await trial(isolated_env)
        assert await finding() == (CheckStatus.OK, "No failed or waiting notices.")
        await run_notices_job(isolated_env)
        verdict, text = await finding()
        assert verdict is CheckStatus.NOTE
        assert text == "Waiting to be sent: 1 (no mail server is set: WORKSUB_SMTP_URL)."
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        smtp_server.to_recipient = lambda recipient: "550 no such user"
        await run_notices_job(isolated_env, server=smtp_server)
        verdict, text = await finding()
        assert verdict is CheckStatus.NOTE
        assert text.startswith("Given up in the last 7 days: 1. For the reasons, see `worksub notices")
    assert address(subscription) not in text


# -- server failures ---------------------------------------------------------------------------------


async def test_refused_sender_is_no_failure_of_the_recipient(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscriptions = await gather_all(trial(isolated_env) for _ in range(2))
        smtp_server.to_sender = "553 5.7.1 not you"
        report = await run_notices_job(isolated_env, server=smtp_server)
        error = "the sender is refused: 553 5.7.1"
        assert (report["queued"], report["waiting"], report["trouble"]) == (2, 2, error)
        for subscription in subscriptions:
            notice = await notice_of(subscription)
            assert (notice.state, notice.attempts, notice.last_error) == (NoticeState.WAITING, 0, error)
        smtp_server.to_sender = "250 OK"
        await is_sent(isolated_env, smtp_server, 2)
    assert len(smtp_server.taken) == 2


async def test_mail_server_back_from_outage_gets_queued_emails(isolated_env: ServiceEnv) -> None:
    [port] = free_ports(1)
    async with isolated_env.worker(mail_server=MailServer(host=LOOPBACK, port=port, sender=SENDER)):
        subscriptions = await gather_all(trial(isolated_env) for _ in range(3))
        report = await run_notices_job(
            isolated_env, server=MailServer(host=LOOPBACK, port=port, sender=SENDER)
        )
        assert (report["waiting"], report["trouble"]) == (3, "the mail server cannot be reached")
        assert {(await notice_of(subscription)).attempts for subscription in subscriptions} == {0}
        async with SmtpServer(port) as smtp_server:
            await is_sent(isolated_env, smtp_server, 3)
    assert len(set(smtp_server.message_ids)) == len(smtp_server.taken) == 3


async def test_silent_mail_server_is_waited_for_until_timeout(isolated_env: ServiceEnv) -> None:
    async with silent_server() as silent, isolated_env.worker(mail_server=silent):
        subscription = await trial(isolated_env)
        report = await run_notices_job(isolated_env, server=silent)
        assert (report["waiting"], report["trouble"]) == (1, "the mail server does not answer")
        assert (await notice_of(subscription)).attempts == 0


async def test_hanging_mail_server_is_skipped_after_three_emails(
    isolated_env: ServiceEnv,
) -> None:
    async def to_message(recipient: str) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        SmtpServer() as smtp_server,
        isolated_env.worker(mail_server=smtp_server.mail_server(timeout_seconds=1.0)),
    ):
        smtp_server.to_message = to_message
        await gather_all(trial(isolated_env) for _ in range(4))
        report = await run_notices_job(isolated_env, server=smtp_server.mail_server(timeout_seconds=1.0))
        assert (report["waiting"], report["trouble"]) == (
            4,
            "the mail server repeatedly closes the connection",
        )
        assert sorted([each.attempts for each in await isolated_env.client.notices()]) == [0, 1, 1, 1]


async def test_email_that_crashes_the_server_is_sent_last(
    isolated_env: ServiceEnv,
) -> None:
    """A mail server that stops during one email gets the other emails first and then that email."""
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscriptions = await gather_all(trial(isolated_env) for _ in range(4))
        broken_off: list[str] = []

        async def to_message(recipient: str) -> str:
            if not broken_off:
                broken_off.append(recipient)
                smtp_server.hang_up()
            return "250 OK"

        smtp_server.to_message = to_message
        report = await run_notices_job(isolated_env, server=smtp_server)
        assert (report["sent"], report["waiting"]) == (3, 1)
        [waiting] = await isolated_env.client.notices(state=NoticeState.WAITING)
        assert waiting.recipient == broken_off[0]
        assert (waiting.attempts, waiting.last_error) == (1, "the connection to the mail server broke")
        await is_sent(isolated_env, smtp_server, 4)
    # The server accepted that email before it stopped, so it has it twice, with the same Message-ID.
    assert len(smtp_server.taken) == 5
    assert len(set(smtp_server.message_ids)) == 4
    assert [len(smtp_server.to(address(subscription))) for subscription in subscriptions].count(2) == 1
    first, second = smtp_server.to(broken_off[0])
    assert plain_text(first) == plain_text(second)


async def test_mail_server_is_retried_after_temporary_close(isolated_env: ServiceEnv) -> None:
    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        subscription = await trial(isolated_env)
        smtp_server.to_recipient = lambda recipient: "421 4.3.2 closing"
        report = await run_notices_job(isolated_env, server=smtp_server)
        assert (report["waiting"], report["trouble"]) == (
            1,
            "the mail server closes the connection: 421 4.3.2",
        )
        assert (await notice_of(subscription)).attempts == 0
        smtp_server.to_recipient = lambda recipient: "250 OK"
        await is_sent(isolated_env, smtp_server, 1)


async def test_unrecorded_email_is_sent_again_with_same_message_id(
    isolated_env: ServiceEnv,
) -> None:
    """An email that was accepted but not recorded as sent is sent again with the same Message-ID."""
    interrupted = asyncio.Event()

    async def to_message(recipient: str) -> str:
        if not interrupted.is_set():
            interrupted.set()
            await isolated_env.owner.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND state = 'idle in transaction'
                """
            )
        return "250 OK"

    async with SmtpServer() as smtp_server, isolated_env.worker(mail_server=smtp_server.mail_server()):
        smtp_server.to_message = to_message
        await trial(isolated_env)
        await run_notices_job(isolated_env)
        await is_sent(isolated_env, smtp_server, 1)
        assert (await run_notices_job(isolated_env, server=smtp_server))["sent"] == 0
    assert len(smtp_server.taken) == 2
    assert len(set(smtp_server.message_ids)) == 1


# -- TLS and a login ---------------------------------------------------------------------------------


class Vault:
    """A certificate for the mail server, and its certificate authority."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.authority_file = directory / "authority.pem"
        authority.cert_pem.write_to_path(self.authority_file)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(LOOPBACK).configure_cert(self.tls)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


# aiosmtpd does not detect TLS on a connection that starts with TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("implicit", [False, True], ids=["smtp", "smtps"])
async def test_login_is_sent_over_tls_to_trusted_server(
    isolated_env: ServiceEnv, vault: Vault, monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(vault.authority_file))
    async with SmtpServer(tls=vault.tls, implicit=implicit) as smtp_server:
        server = smtp_server.mail_server(tls=implicit, user=USER, password=PASSWORD)
        async with isolated_env.worker(mail_server=server):
            await trial(isolated_env)
            report = await run_notices_job(isolated_env, server=server)
    assert report["sent"] == 1
    assert smtp_server.over_tls == [True]


async def test_login_and_tls_errors_do_not_contain_the_password(
    isolated_env: ServiceEnv, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with isolated_env.worker():
        await trial(isolated_env)
        await run_notices_job(isolated_env)

    async def error_of(server: MailServer) -> str:
        async with isolated_env.worker(mail_server=server):
            trouble: str = (await run_notices_job(isolated_env, server=server))["trouble"]
        return trouble

    async with SmtpServer(tls=vault.tls) as smtp_server, SmtpServer() as plain:
        login = smtp_server.mail_server(user=USER, password=PASSWORD)
        assert await error_of(login) == "the mail server's certificate is not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(vault.authority_file))
        wrong = smtp_server.mail_server(user=USER, password="guessed")
        assert await error_of(wrong) == "the mail server refuses the login: 535 5.7.8"
        refusing = "the mail server does not support TLS or authentication, which the settings require"
        assert await error_of(plain.mail_server(user=USER, password=PASSWORD)) == refusing
        assert await error_of(plain.mail_server(tls=True)) == "the TLS handshake with the mail server failed"
    assert PASSWORD not in repr(login)
    assert smtp_server.taken == plain.taken == []
