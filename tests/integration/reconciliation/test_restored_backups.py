"""Restores of one or both sides from yesterday: no double charge, and erased data stays erased."""

import random
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from property.scenario_strategies import scenarios
from support.backups import TASK_QUEUE, Backup, backed_up, postgres, restored, restored_database, run
from support.corruption import stored_rows
from support.data_search import found_in_database, is_deleted_from_workflow
from support.markdown_pages import blocks, page
from support.polling import gather_all
from support.reconcile_job import codes, found
from support.service_env import ServiceEnv, catalogue, catalogue_text, open_service_env, unique_name
from support.sizes import SIZES
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client

from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.postgres_server import WORKER, as_login
from dev_stack.scenario_runner import simulate_by_rules
from dev_stack.stack import EmbeddedStack
from dev_stack.temporal_server import TemporalServer
from subscription.catalogue import PriceBook
from subscription.commands import expand_null
from subscription.ledger import LedgerLine
from subscription.refusals import RefusalError
from subscription.scenario import (
    Scenario,
    ScenarioStep,
    read_scenario,
    sample_request,
    with_default_arguments,
)
from subscription.state import State

BOOK = PriceBook(versions=(catalogue(),))
FIRST = "2027-01-10T09:00:00+09:00"
# Without renames, because in these tests each subscription has its own names, and without facts from outside.
_LEFT_OUT = ("rename_account", "confirm_domain", "lose_domain", "check_domain", "members_in_use")


def drawn() -> list[dict[str, Any]]:
    """Return generated scenarios that start after today, the same in every run."""
    made: list[list[dict[str, Any]]] = []
    one = scenarios(tomllib.loads(catalogue_text()))

    @seed(20270110)
    @settings(max_examples=3, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(one, min_size=SIZES.restored_scenarios, max_size=SIZES.restored_scenarios))
    def draw(scenarios: list[dict[str, Any]]) -> None:
        made.append(scenarios)

    draw()
    return made[-1]


def written() -> list[dict[str, Any]]:
    """Return scenarios that are in progress at the time of the backup, or start after it."""
    switch = {"at": FIRST, "switch_to_paid": {"date": "2027-01-10", "term": "ANNUAL"}}
    more = {"at": "2027-02-15T09:00:00+09:00", "upgrade": {"members": 20}}
    option = {"at": "2027-02-16T09:00:00+09:00", "change_renewal_option": {"term": "ANNUAL"}}
    leave = {"at": "2027-03-20T09:00:00+09:00", "cancel": {"date": "2027-03-20"}}
    until = "2027-04-02T00:00:00+09:00"
    request = {"at": FIRST, "plan": "basic", "members": 10}
    return [
        {"name": name, "request": request, "steps": steps, "until": until}
        for name, steps in {
            "is upgraded after it": [switch, more, option],
            "leaves after it": [switch, leave],
            "is only billed": [switch, more],
            "begins after it": [switch, more],
            "begins and leaves after it": [switch, leave],
        }.items()
    ]


class RestoredSubscription(SubscriptionDriver):
    """A scenario and its subscription: some of its steps run before the backup, the rest after it."""

    scenario: Scenario
    before: int
    """The number of steps before the backup; -1 if it was requested later."""
    lost: set[str]
    """The commands that were accepted after the backup."""

    async def run_steps(self, steps: Sequence[ScenarioStep]) -> None:
        for step in steps:
            await self.client.settle(self.id, step.at)
            argument = with_default_arguments(step, BOOK, "")
            if isinstance(argument, dict) and argument.get("confirmation") == "":
                argument = {**argument, "confirmation": await self.confirmation()}
            argument = expand_null(step.command, argument)
            if isinstance(argument, dict):
                argument = {**argument, "at": step.at.isoformat()}
            try:
                await self.client.command(self.id, step.command, argument)
            except RefusalError:
                continue
            self.lost.add(step.command)

    async def continue_to_end(self) -> None:
        """Run the remaining steps up to the end of the scenario."""
        await self.run_steps(self.scenario.steps[max(self.before, 0) :])
        await self.client.settle(self.id, self.scenario.until)
        if (await self.status()).state is State.ERASED:
            await self.has_closed()

    async def charged(self, service_env: ServiceEnv) -> list[tuple[Any, ...]]:
        return charges(await service_env.client.ledger(self.id))

    def expected_ledger(self) -> list[tuple[Any, ...]]:
        """Return the ledger by the rules alone."""
        [document] = simulate_by_rules([self.scenario], BOOK)
        return charges(document.ledger)


def charges(lines: Sequence[LedgerLine]) -> list[tuple[Any, ...]]:
    return [(line.kind, line.first_day, line.end_day, line.amount) for line in lines]


async def started(
    service_env: ServiceEnv, scenario: Scenario, before: int, **changes: Any
) -> RestoredSubscription:
    body = {
        **sample_request(scenario, BOOK, unique_name("request")),
        "account": {"group": unique_name("hanyang")},
        "company_name": f"{unique_name('Hanyang')} Trading",
        "simulated_at": scenario.starts_at.isoformat(),
        **changes,
    }
    answer = await service_env.client.request(body)
    case = RestoredSubscription(service_env.client, service_env.temporal, answer.subscription_id, body)
    case.scenario, case.before, case.lost = scenario, before, set()
    if before > 0:
        await case.run_steps(scenario.steps[:before])
        case.lost = set()
    return case


@dataclass(frozen=True)
class Days:
    """The backups of two days, and the subscriptions of these days."""

    yesterday: Backup
    today: Backup
    cases: list[RestoredSubscription]
    ended: list[RestoredSubscription]
    """The subscriptions that were erased after the first backup."""
    known: dict[str, dict[str, list[Any]]]
    """All rows of each subscription at the end."""
    certificates: Path
    """The separately stored certificates of the last day."""


@pytest.fixture(scope="module")
async def days(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Days:
    directory, chance = tmp_path_factory.mktemp("days"), random.Random(20270110)
    scenarios = [read_scenario(_without_names(each)) for each in (*written(), *drawn())]
    async with TemporalServer(directory / "temporal", search_attributes={}) as server:
        temporal = await Client.connect(server.address, data_converter=data_converter())
        await register_search_attributes(temporal)
        async with open_service_env(stack, temporal, task_queue=TASK_QUEUE) as service_env:
            begins_later = [each for each in scenarios if each.name.startswith("begins")]
            cases = await gather_all(
                started(
                    service_env, each, chance.randint(0, len(each.steps)) if each.name == "generated" else 1
                )
                for each in scenarios
                if each not in begins_later
            )
            over = {case.id for case in cases if (await case.status()).state is State.ERASED}
            for case in cases:
                if case.id in over:
                    await case.has_closed()
            yesterday = await backed_up(service_env, directory / "temporal", directory / "yesterday")
            cases += await gather_all(started(service_env, each, -1) for each in begins_later)
            await gather_all(case.continue_to_end() for case in cases)
            [left] = [case for case in cases if case.scenario.name == "leaves after it"]
            [billed] = [case.scenario for case in cases if case.scenario.name == "is only billed"]
            heir = await started(service_env, billed, -1, account=left.request["account"])
            await heir.continue_to_end()
            cases.append(heir)
            today = await backed_up(service_env, directory / "temporal", directory / "today")
            for case in cases:
                assert await case.charged(service_env) == case.expected_ledger(), case.scenario.name
            ended = [
                each for each in cases if each.id not in over and (await each.status()).state is State.ERASED
            ]
            assert len(ended) >= 2
            assert any(case.lost for case in cases if case not in ended)
            known = {case.id: await stored_rows(service_env, case) for case in cases}
            await run(postgres("psql"), service_env.reader_url, "--command", KEEP_APART, cwd=directory)
    return Days(yesterday, today, cases, ended, known, directory / "certificates.tsv")


[KEEP_APART, PUT_BACK] = [
    block.text.partition("<<'SQL'\n")[2].rpartition("SQL")[0] or shlex.split(block.text)[-1]
    for block in blocks(page("docs/scheduled-jobs.md"), "sh")
    if "certificates.tsv" in block.text
]


def _without_names(scenario: dict[str, Any]) -> dict[str, Any]:
    return {**scenario, "steps": [step for step in scenario["steps"] if not step.keys() & {*_LEFT_OUT}]}


async def check_no_personal_data(service_env: ServiceEnv, cases: Sequence[RestoredSubscription]) -> None:
    for case in cases:
        assert (await service_env.client.status(case.id)).state is State.ERASED
    assert await found_in_database(service_env, [case.request["company_name"] for case in cases]) == []


def once(charged: Sequence[tuple[Any, ...]]) -> bool:
    """Return whether no day is in two service fees."""
    fees = sorted((first, end) for kind, first, end, _ in charged if kind == "SERVICE_FEE")
    return all(end <= first for (_, end), (first, _) in pairwise(fees))


async def test_database_restored_from_yesterday(stack: EmbeddedStack, days: Days, tmp_path: Path) -> None:
    async with restored(
        stack, days.yesterday.database, days.today.temporal, tmp_path / "site"
    ) as service_env:
        findings = await codes(service_env)
        for case in days.cases:
            if case in days.ended:
                continue
            assert await stored_rows(service_env, case) == days.known[case.id], case.scenario.name
            assert await case.charged(service_env) == case.expected_ledger()
        back = [case for case in days.ended if case.before >= 0]
        assert {case.id: findings[case.id] for case in days.ended} == {
            **{case.id: [("END_MISSING", True)] for case in back},
            # Its histories were deleted with all their data, and the database has never had it.
            **{case.id: [("ROW_MISSING", False)] for case in days.ended if case not in back},
        }
        await check_no_personal_data(service_env, back)
        for case in back:
            charged = await case.charged(service_env)
            assert once(charged)
            if case.lost <= {"cancel"}:
                assert charged == case.expected_ledger(), case.scenario.name
        unknown = {case.id for case in days.ended if case not in back}
        assert {each.subscription_id for each in await found(service_env)} == unknown


async def test_temporal_restored_from_yesterday(stack: EmbeddedStack, days: Days, tmp_path: Path) -> None:
    async with restored(
        stack, days.today.database, days.yesterday.temporal, tmp_path / "site"
    ) as service_env:
        findings = await codes(service_env)
        for case in days.cases:
            assert await stored_rows(service_env, case) == days.known[case.id], case.scenario.name
            assert await case.charged(service_env) == case.expected_ledger()
        for case in days.ended:
            # The restored server has its workflow again, or there has never been one.
            assert findings.get(case.id, [("DATA_LEFT", True)]) == [("DATA_LEFT", True)]
            site = SubscriptionDriver(service_env.client, service_env.temporal, case.id, case.request)
            names = [case.request["company_name"]]
            await is_deleted_from_workflow(
                service_env.temporal, site.workflow_id, names, await site.run_ids()
            )
        assert {code for found in findings.values() for code, repaired in found if not repaired} == set()
        assert await found(service_env) == []


async def test_both_restored_from_yesterday_keep_erasures(
    stack: EmbeddedStack, days: Days, tmp_path: Path
) -> None:
    """Only the separately stored certificates have data of the last day."""
    async with restored(
        stack, days.yesterday.database, days.yesterday.temporal, tmp_path / "site"
    ) as service_env:
        await run(
            postgres("psql"),
            service_env.database_url,
            "--set=ON_ERROR_STOP=1",
            cwd=days.certificates.parent,
            typed=PUT_BACK,
        )
        findings = await codes(service_env)
        back = [case for case in days.ended if case.before >= 0]
        for case in back:
            assert ("END_MISSING", True) in findings[case.id], findings[case.id]
        await check_no_personal_data(service_env, back)
        for case in back:
            assert once(await case.charged(service_env))
            certificates = {table: days.known[case.id][table] for table in ("erasure_certificates",)}
            assert {**await stored_rows(service_env, case), **certificates} == await stored_rows(
                service_env, case
            )
        assert await found(service_env) == []
        # The others continue from yesterday, and receive their commands again.
        for case in days.cases:
            if case.before >= 0 and case not in days.ended and case.lost:
                again = RestoredSubscription(service_env.client, service_env.temporal, case.id, case.request)
                again.scenario, again.before, again.lost = case.scenario, case.before, set()
                await again.continue_to_end()
                assert await again.charged(service_env) == case.expected_ledger(), case.scenario.name


async def test_restored_database_is_append_only_as_before(stack: EmbeddedStack, days: Days) -> None:
    url = await restored_database(stack, days.today.database)
    connection = await asyncpg.connect(as_login(url, WORKER))
    try:
        for change in ("UPDATE ledger_lines SET amount = 1", "DELETE FROM erasure_certificates"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute("INSERT INTO members VALUES ($1, 'hong')", days.ended[0].id)
    finally:
        await connection.close()
    owner = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute("DELETE FROM erasure_certificates")
    finally:
        await owner.close()
