"""check-name and request, the password above all."""

import asyncio
from pathlib import Path

import pytest

from starter.cli.remains import events_naming, occurrences_on_disk, rows_naming, runs_of
from subscription.effects import WORKFLOW_ID_PREFIX

from .conftest import Service
from .running import ROOT, Cli
from .subscribing import PASSWORD, fresh, request_file, subscribed


async def test_a_name_is_free_until_it_is_requested(cli: Cli) -> None:
    name = fresh("name")
    found = await cli.json("check-name", "--group", name)
    assert found == {"name": name, "kind": "GROUP", "available": True}
    await subscribed(cli, account={"group": name})
    taken = await cli.run("check-name", "--group", name)
    assert taken.code == 0
    assert f"{name} is taken" in taken.out


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        (["--group", "Admin"], "INVALID_GROUP_NAME", "group"),
        (["--domain", "nodots"], "INVALID_DOMAIN_NAME", "domain"),
    ],
)
async def test_a_name_that_cannot_be_is_refused(alone: Cli, arguments: list[str], code: str, field: str) -> None:
    ended = await alone.run("check-name", *arguments, "--json")
    assert ended.code == 1
    assert (ended.error["code"], ended.error["field"]) == (code, field)


@pytest.mark.parametrize("arguments", [[], ["--group", "a", "--domain", "b.kr"]])
async def test_exactly_one_name_is_checked(alone: Cli, arguments: list[str]) -> None:
    ended = await alone.run("check-name", *arguments)
    assert ended.code == 2
    assert "either --group or --domain" in ended.err


async def test_the_example_is_accepted_and_sent_again_answered_the_same(cli: Cli) -> None:
    arguments = ("request", str(ROOT / "examples" / "request.yaml"), "--password-stdin")
    first = await cli.json(*arguments, typed=f"{PASSWORD}\n")
    assert set(first) == {"subscription_id", "state", "trial_ends_at"}
    assert first["state"] == "TRIAL"
    assert await cli.json(*arguments, typed="An0ther-Word") == first


async def test_a_person_reads_that_the_trial_has_started(cli: Cli) -> None:
    ended = await cli.run("request", request_file(cli), "--password-stdin", typed=PASSWORD)
    assert ended.code == 0
    assert "The free trial has started; it ends on" in ended.out
    assert "worksub status " in ended.out


async def test_another_request_under_the_same_id_is_refused(cli: Cli) -> None:
    request_id = fresh("request")
    await subscribed(cli, request_id=request_id)
    other = request_file(cli, request_id=request_id)
    ended = await cli.run("request", other, "--password-stdin", "--json", typed=PASSWORD)
    assert ended.code == 1
    assert ended.error["code"] == "REQUEST_ID_REUSED"


async def test_everything_that_is_wrong_is_said_at_once(cli: Cli) -> None:
    file = request_file(
        cli, plan="gold", members="ten", account={"group": "-x"}, platfrom="VPC", password="In-A-File-1"
    )
    ended = await cli.run("request", file, "--password-stdin", "--json", typed="abcABC")
    assert ended.code == 1
    problems = {(problem["field"], problem["code"]) for problem in ended.error["problems"]}
    assert problems == {
        ("plan", "PLAN_NOT_SOLD"),
        ("members", "WRONG_TYPE"),
        ("account.group", "INVALID_GROUP_NAME"),
        ("platfrom", "UNKNOWN_FIELD"),
        ("password", "UNKNOWN_FIELD"),
        ("password", "INVALID_PASSWORD"),
    }
    for_people = await cli.run("request", file, "--password-stdin", typed="abcABC")
    assert for_people.code == 1
    assert for_people.out == ""
    for problem in ended.error["problems"]:
        assert f"{problem['field']} {problem['message']}" in for_people.err
    everything = ended.out + ended.err + for_people.err
    assert "abcABC" not in everything
    assert "In-A-File-1" not in everything


async def test_a_name_that_is_taken_is_refused_with_its_field(cli: Cli) -> None:
    name = fresh("taken")
    await subscribed(cli, account={"group": name})
    file = request_file(cli, account={"group": name})
    ended = await cli.run("request", file, "--password-stdin", "--json", typed=PASSWORD)
    assert ended.code == 1
    assert (ended.error["code"], ended.error["field"]) == ("NAME_TAKEN", "account.group")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is empty"),
        ("- 1", "line 1: there must be named fields here"),
        ("plan: lite\nplan: basic\n", "line 2: 'plan' is given twice, first on line 1"),
        ("plan: lite\n  members: 1\n", "line 2: is not YAML"),
        ("plan: lite\n---\nplan: lite\n", "has 2 requests"),
    ],
)
async def test_a_file_that_is_no_request_is_a_misuse(alone: Cli, content: str | None, said: str) -> None:
    if content is not None:
        (alone.directory / "request.yaml").write_text(content)
    ended = await alone.run("request", "request.yaml", "--password-stdin", typed=PASSWORD)
    assert ended.code == 2
    assert said in ended.err
    assert "request.yaml" in ended.err


async def test_without_a_terminal_the_password_must_be_piped_in(cli: Cli) -> None:
    ended = await cli.run("request", request_file(cli), "--json")
    assert ended.code == 2
    assert "--password-stdin" in (await cli.run("request", request_file(cli))).err
    assert (ended.error["code"], ended.error["field"]) == ("USAGE", "password")


@pytest.mark.parametrize("typed", [b"Correct4\xff\xfeHorse", b"Correct4Horse\nCorrect4Horse\n", b"A1a" * 1000])
async def test_what_is_piped_in_is_taken_as_it_is(cli: Cli, typed: bytes) -> None:
    file = request_file(cli)
    ended = await cli.run("request", file, "--password-stdin", "--json", typed=typed)
    assert ended.code == 1
    assert {problem["field"] for problem in ended.error["problems"]} == {"password"}


async def test_at_a_terminal_the_password_is_typed_twice_and_unseen(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    await terminal.sees("Administrator's password: ")
    terminal.type("short")
    await terminal.sees("must have 8 to 40 characters")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    terminal.type("Correct4Hoarse")
    await terminal.sees("was not the same both times")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    process = Path(f"/proc/{terminal.process.pid}")
    assert PASSWORD.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    terminal.type(PASSWORD)
    await terminal.sees("The free trial has started")
    assert await terminal.ends() == 0
    assert not [word for word in ("short", PASSWORD, "Correct4Hoarse") if word in terminal.shown]


async def test_after_three_impossible_passwords_the_request_is_refused(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    for _ in range(3):
        await terminal.sees("Administrator's password: ")
        terminal.type("password")
    await terminal.sees("password must have at least one uppercase letter")
    assert await terminal.ends() == 1


async def test_a_bad_file_is_refused_before_anybody_types_a_password(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli, plan="gold"))
    await terminal.sees("plan must be one of lite, basic, premium")
    assert await terminal.ends() == 1
    assert "Administrator's password" not in terminal.shown


async def test_it_can_be_given_up_at_the_prompt(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    await terminal.sees("Administrator's password: ")
    await terminal.interrupt()
    assert await terminal.ends() == 130
    assert "Interrupted." in terminal.shown


async def test_the_end_of_input_gives_it_up_too(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    await terminal.sees("Administrator's password: ")
    terminal.end_of_input()
    assert await terminal.ends() == 130


async def test_the_password_is_kept_nowhere(service: Service, cli: Cli, tmp_path: Path) -> None:
    password = "Nowhere7Kept9"
    file = request_file(cli, company_name="Kept Here")
    answer = await cli.json("request", file, "--password-stdin", typed=password)
    workflow_id = WORKFLOW_ID_PREFIX + answer["subscription_id"]
    runs = await runs_of(service.temporal, workflow_id)
    database = Path(service.directory) / "temporal" / "temporal.db"

    async def found(value: str) -> tuple[int, int, int]:
        return (
            await rows_naming(service.settings["DATABASE_URL"], [value]),
            await events_naming(service.temporal, workflow_id, runs, [value]),
            await occurrences_on_disk(service.stack.temporal, database, [value]),
        )

    assert all(await found("Kept Here"))
    assert await found(password) == (0, 0, 0)
    files = [path for path in service.directory.rglob("*.log") if password.encode() in path.read_bytes()]
    assert files == []
