"""`worksub notices`: sent and waiting customer notices."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.cli_runner import Cli
from support.request_files import fresh

from adapters.temporal.client import TASK_QUEUE
from subscription.business_calendar import day_of

from .conftest import Service


@pytest.fixture
async def notified_id(service: Service) -> AsyncIterator[str]:
    """Create a subscription with an outdated and a waiting notice of its trial's end, and return its id."""
    subscription_id = await service.subscribed()
    status = await service.client.status(subscription_id)
    assert status.trial_ends_at is not None
    for days in (7, 3):
        day = day_of(status.trial_ends_at) - timedelta(days=days)
        await service.temporal.execute_workflow(
            "NoticesWorkflow", {"day": day.isoformat()}, id=fresh("notices"), task_queue=TASK_QUEUE
        )
    yield subscription_id
    await erase(service, subscription_id)


async def erase(service: Service, subscription_id: str) -> None:
    account = (await service.client.status(subscription_id)).account
    if account:
        today = day_of(await service.client.clock(subscription_id).now())
        await service.client.cancel(subscription_id, today, account)
    await service.temporal.get_workflow_handle(f"subscription-{subscription_id}").result()


async def test_notices_are_listed_and_shown(cli: Cli, notified_id: str) -> None:
    listed, in_json = await asyncio.gather(
        cli.run("notices", "list", "--subscription", notified_id),
        cli.json("notices", "list", "--subscription", notified_id),
    )
    assert listed.code == 0
    [started, week, three_days] = in_json["notices"]
    assert in_json["next_cursor"] is None
    assert (started["kind"], started["sequence"]) == ("TRIAL_STARTED", 1)
    assert started["addressee"] == "ADMINISTRATOR"
    assert (week["kind"], week["threshold_days"], week["state"]) == ("TRIAL_ENDING", 7, "OUTDATED")
    assert (three_days["threshold_days"], three_days["state"], three_days["attempts"]) == (3, "WAITING", 0)
    for words in (notified_id, "TRIAL_ENDING", "TRIAL_STARTED", "no mail server is set: WORKSUB_SMTP_URL"):
        assert words in listed.out

    number = str(three_days["number"])
    shown, document = await asyncio.gather(
        cli.run("notices", "show", number), cli.json("notices", "show", number)
    )
    assert document == three_days
    for words in (f"To {three_days['recipient']}", "무료 체험이", "Your free trial ends on"):
        assert words in shown.out


async def test_notices_are_listed_by_state_and_page(cli: Cli, notified_id: str) -> None:
    waiting, first = await asyncio.gather(
        cli.json("notices", "list", "--subscription", notified_id, "--state", "waiting"),
        cli.json("notices", "list", "--subscription", notified_id, "--limit", "1"),
    )
    assert [notice["threshold_days"] for notice in waiting["notices"]] == [0, 3]
    assert [notice["kind"] for notice in first["notices"]] == ["TRIAL_STARTED"]
    second, none = await asyncio.gather(
        cli.json("notices", "list", "--subscription", notified_id, "--after", str(first["next_cursor"])),
        cli.run("notices", "list", "--subscription", notified_id, "--state", "UNDELIVERABLE"),
    )
    assert [notice["threshold_days"] for notice in second["notices"]] == [7, 3]
    assert none.out.strip() == "There are no notices."


async def test_erasure_deletes_the_email(service: Service, cli: Cli, notified_id: str) -> None:
    number = str((await service.client.notices(subscription_id=notified_id))[0].number)
    await erase(service, notified_id)
    shown = await cli.run("notices", "show", number)
    assert "The email has been deleted." in shown.out
    assert "무료 체험" not in shown.out


async def test_missing_notice_and_invalid_options_are_refused(cli: Cli) -> None:
    missing, state, number = await asyncio.gather(
        cli.run("notices", "show", "999999", "--json"),
        cli.run("notices", "list", "--state", "LOST", "--json"),
        cli.run("notices", "show", "first", "--json"),
    )
    assert (missing.code, missing.error["code"]) == (1, "NOTICE_NOT_FOUND")
    assert (state.code, state.error["code"]) == (2, "USAGE")
    assert "WAITING, SENT, OUTDATED, UNDELIVERABLE" in state.error["message"]
    assert (number.code, number.error["code"]) == (2, "USAGE")
