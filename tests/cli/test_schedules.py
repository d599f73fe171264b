"""`worksub schedules` and `worksub findings`: scheduled jobs and reconciliation findings."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.cli_runner import Cli

from .conftest import Service


@pytest.fixture(autouse=True)
async def nothing_is_paused(cli: Cli) -> AsyncIterator[None]:
    yield
    await cli.run("schedules", "resume", "purge")


async def test_jobs_are_listed_with_korean_times(cli: Cli) -> None:
    for_people, document = await asyncio.gather(cli.run("schedules", "list"), cli.json("schedules", "list"))
    times = {job["name"]: job["times"] for job in document}
    assert times == {
        "reconcile": "every day at 02:00 KST",
        "purge": "every day at 03:30 KST",
        "invoices": "on day 3 of the month at 06:00 KST",
        "notices": "every day at 09:00 KST",
    }
    for words in [*times, *times.values()]:
        assert words in for_people.out


async def test_applying_schedules_again_changes_nothing(cli: Cli) -> None:
    applied = await cli.json("schedules", "apply")
    assert set(applied.values()) == {"UNCHANGED"}
    assert "purge: unchanged" in (await cli.run("schedules", "apply")).out


async def test_job_is_paused_with_reason_triggered_and_resumed(cli: Cli) -> None:
    paused = await cli.run("schedules", "pause", "purge", "--note", "moving house")
    assert (paused.code, paused.out) == (0, "purge is paused: moving house.\n")
    assert "paused: moving house" in (await cli.run("schedules", "list")).out
    ran = await cli.json("schedules", "trigger", "purge")
    assert ran["workflow_id"].startswith("worksub-purge")
    assert ran["report"]["summary"]
    assert (await cli.json("schedules", "resume", "purge")) == {"name": "purge", "paused": False}
    [purge] = [job for job in await cli.json("schedules", "list") if job["name"] == "purge"]
    assert (purge["paused"], purge["last_run"]["status"]) == (False, "COMPLETED")
    assert purge["last_run"]["summary"] == ran["report"]["summary"]


async def test_reconciliation_findings_are_listed(cli: Cli, service: Service) -> None:
    lost = await service.subscribed()
    await service.temporal.get_workflow_handle(f"subscription-{lost}").terminate(reason="by mistake")

    triggered = await cli.run("schedules", "trigger", "reconcile")

    assert triggered.code == 0
    assert "reconcile has started as workflow worksub-reconcile" in triggered.err
    assert "checked" in triggered.out
    shown, document = await asyncio.gather(cli.run("findings"), cli.json("findings"))
    assert triggered.out.strip() in shown.out
    [finding] = [each for each in document["findings"] if each["subscription_id"] == lost]
    assert (finding["code"], finding["message"], finding["repaired"]) == (
        "WORKFLOW_MISSING",
        "Its workflow was terminated.",
        True,
    )
    for words in ("WORKFLOW_MISSING", lost, "Its workflow was terminated."):
        assert words in shown.out
    run = document["reconciliation"]["run"]
    later = await cli.json("schedules", "trigger", "reconcile")
    assert later["report"]["run"] != run
    assert await cli.json("findings", "--run", run) == document
    assert len((await cli.json("findings", "--run", run, "--limit", "1"))["findings"]) == 1
    by_hand = (await cli.json("reconcile", "--all"))["report"]
    assert by_hand["queried"] >= 1
    assert by_hand["by_code"] == later["report"]["by_code"]
    assert f"{by_hand['queried']:,} workflows queried" in (await cli.run("findings")).out


async def test_unknown_run_is_refused(cli: Cli) -> None:
    result = await cli.run("findings", "--run", "no-such-run", "--json")
    assert (result.code, result.error["code"], result.error["field"]) == (
        1,
        "RECONCILIATION_NOT_FOUND",
        "run",
    )


async def test_unknown_job_is_a_usage_error(cli: Cli) -> None:
    result = await cli.run("schedules", "trigger", "lunch")
    assert result.code == 2
    assert "'lunch' is not one of reconcile, purge, invoices, notices" in result.err


async def test_missing_schedule_is_refused(cli: Cli, service: Service) -> None:
    await service.temporal.get_schedule_handle("worksub-purge").delete()
    result, listed = await asyncio.gather(
        cli.run("schedules", "trigger", "purge", "--json"), cli.run("schedules", "list")
    )
    assert (result.code, result.error["code"]) == (1, "SCHEDULE_NOT_APPLIED")
    assert "not applied yet" in listed.out
    assert (await cli.json("schedules", "apply"))["purge"] == "CREATED"
