"""The notices job and the delivery of its notices."""

from dataclasses import asdict
from typing import Any

from adapters.email.dispatcher import NoticeDispatcher
from adapters.email.notice_emails import NoticeEmails
from adapters.email.settings import MailServer
from adapters.postgres.notice_outbox import queue_depth
from support.service_env import ServiceEnv, unique_name
from support.smtp_server import SmtpServer

WEDNESDAY = "2027-06-23"


async def run_notices_job(
    service_env: ServiceEnv,
    day: str | None = WEDNESDAY,
    *,
    server: SmtpServer | MailServer | None = None,
    with_confirmations: bool = False,
) -> dict[str, Any]:
    """Run the job for a day, by default WEDNESDAY; then send what waits, if there is a mail server.

    Return the job's report and the result of the delivery. Confirmations that were queued before are deleted,
    because only some tests need them.
    """
    if not with_confirmations:
        await service_env.owner.execute("DELETE FROM notices WHERE sequence > 0")
    report: dict[str, Any] = await service_env.temporal.execute_workflow(
        "NoticesWorkflow",
        *([{"day": day}] if day else []),
        id=unique_name("notices"),
        task_queue=service_env.task_queue,
    )
    if server:
        dispatcher = NoticeDispatcher(service_env.pool, settings_of(server), NoticeEmails())
        delivered = await dispatcher.deliver_due()
        report |= asdict(delivered) | {"waiting": (await queue_depth(service_env.pool)).count}
    return report


def settings_of(server: SmtpServer | MailServer) -> MailServer:
    return server if isinstance(server, MailServer) else server.mail_server()
