"""`worksub check-name` and `worksub request`, in particular the password input."""

import asyncio
from pathlib import Path

import pytest
from support.cli_runner import PATIENCE_SECONDS, ROOT, Cli
from support.request_files import PASSWORD, fresh, request_file

from entrypoints.cli.erasure_check import count_events, count_on_disk, count_rows, runs_of
from subscription.ids import WORKFLOW_ID_PREFIX

from .conftest import Service


async def test_name_is_free_until_requested(service: Service, cli: Cli) -> None:
    name, taken = fresh("name"), fresh("taken")
    await service.subscribed(account={"group": taken})
    free, not_free, requested = await asyncio.gather(
        cli.json("check-name", "--group", name),
        cli.run("check-name", "--group", taken),
        cli.run(
            *("request", request_file(cli, account={"group": taken}), "--password-stdin", "--json"),
            typed=PASSWORD,
        ),
    )
    assert free == {"name": name, "kind": "GROUP", "available": True, "status": "AVAILABLE"}
    assert not_free.code == 0
    assert f"{taken} is already taken" in not_free.out
    assert requested.code == 1
    assert (requested.error["code"], requested.error["field"]) == ("NAME_TAKEN", "account.group")


async def test_invalid_account_name_is_refused(unconfigured_cli: Cli) -> None:
    group, domain, both = await asyncio.gather(
        unconfigured_cli.run("check-name", "--group", "Admin", "--json"),
        unconfigured_cli.run("check-name", "--domain", "nodots"),
        unconfigured_cli.run("check-name", "--group", "acme", "--domain", "acme.kr", "--json"),
    )
    assert (group.code, group.error["code"], group.error["field"]) == (1, "INVALID_GROUP_NAME", "group")
    assert domain.code == 1
    assert "domain: Enter a domain of two parts or more" in domain.err
    assert (both.code, both.error["message"]) == (2, "Specify either --group or --domain.")


async def test_r8_contact_email_option_replaces_that_of_the_file(cli: Cli) -> None:
    file = request_file(cli, contact_email="it@acme.example")
    options = ("--contact-email", "acme.example", "--password-stdin", "--json")
    refused = await cli.run("request", file, *options, typed=PASSWORD)
    assert (refused.code, refused.error["field"]) == (1, "contact_email")
    assert [problem["code"] for problem in refused.error["problems"]] == ["INVALID_EMAIL"]


async def test_example_request_is_idempotent(cli: Cli) -> None:
    arguments = ("request", str(ROOT / "examples" / "request.yaml"), "--password-stdin")
    first = await cli.json(*arguments, typed=f"{PASSWORD}\n")
    assert set(first) == {"subscription_id", "state", "trial_ends_at"}
    assert first["state"] == "TRIAL"
    again = await cli.run(*arguments, typed="An0ther-Word")
    assert again.code == 0
    assert "The free trial has started; it ends on" in again.out
    assert "The state is now" not in again.out
    assert f"worksub status {first['subscription_id']}" in again.out


async def test_repeated_request_after_end_reports_final_state(cli: Cli) -> None:
    group = fresh("ended")
    arguments = ("request", request_file(cli, account={"group": group}), "--password-stdin")
    first = await cli.json(*arguments, typed=PASSWORD)
    await cli.run(
        *("cancel", first["subscription_id"], "--date", "today", "--confirm", f"minji@{group}"),
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await cli.json("status", first["subscription_id"]))["state"] != "ERASED":
            pass
    assert await cli.json(*arguments, typed=PASSWORD) == {**first, "state": "ERASED"}
    again = await cli.run(*arguments, typed=PASSWORD)
    assert again.code == 0
    assert "Its subscription has ended." in again.out
    assert "The free trial has started" not in again.out
    assert "change the request_id" in again.out


async def test_every_problem_is_reported_at_once(cli: Cli) -> None:
    file = request_file(
        cli,
        plan="gold",
        members="ten",
        account={"group": "-x"},
        platfrom="VPC",
        password="In-A-File-1",
        password_hash="$argon2id$",
    )
    result, for_people = await asyncio.gather(
        cli.run("request", file, "--password-stdin", "--json", typed="abcABC"),
        cli.run("request", file, "--password-stdin", typed="abcABC"),
    )
    assert (result.code, for_people.code) == (1, 1)
    assert {(problem["field"], problem["code"]) for problem in result.error["problems"]} == {
        ("plan", "PLAN_NOT_SOLD"),
        ("members", "WRONG_TYPE"),
        ("account.group", "INVALID_GROUP_NAME"),
        ("platfrom", "UNKNOWN_FIELD"),
        ("password", "UNKNOWN_FIELD"),
        ("password_hash", "UNKNOWN_FIELD"),
        ("password", "INVALID_PASSWORD"),
    }
    assert for_people.out == ""
    for problem in result.error["problems"]:
        assert f"{problem['field']}: {problem['message']}" in for_people.err
    everything = result.out + result.err + for_people.err
    assert "abcABC" not in everything
    assert "In-A-File-1" not in everything


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        ("plan: lite\nplan: basic\n", "line 2: 'plan' is given twice, first on line 1"),
        ("plan: lite\n---\nplan: lite\n", "has 2 requests"),
    ],
)
async def test_invalid_request_file_is_a_usage_error(
    unconfigured_cli: Cli, content: str | None, expected: str
) -> None:
    if content is not None:
        (unconfigured_cli.directory / "request.yaml").write_text(content)
    result = await unconfigured_cli.run("request", "request.yaml", "--password-stdin", typed=PASSWORD)
    assert result.code == 2
    assert expected in result.err
    assert "request.yaml" in result.err


async def test_password_must_be_piped_without_a_terminal(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run("request", request_file(unconfigured_cli), "--json")
    assert result.code == 2
    assert (result.error["code"], result.error["field"]) == ("USAGE", "password")


async def test_piped_password_is_taken_verbatim(cli: Cli) -> None:
    typed = (b"Correct4\xff\xfeHorse", b"Correct4Horse\nCorrect4Horse\n", b"A1a" * 1000)
    ends = await asyncio.gather(
        *(cli.run("request", request_file(cli), "--password-stdin", "--json", typed=each) for each in typed)
    )
    for result in ends:
        assert result.code == 1
        assert {problem["field"] for problem in result.error["problems"]} == {"password"}


async def test_terminal_password_is_typed_twice_without_echo(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    await terminal.sees("Administrator's password: ")
    terminal.type("short")
    await terminal.sees("Use 8 to 40 characters.")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    terminal.type("Correct4Hoarse")
    await terminal.sees("The passwords do not match.")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    process = Path(f"/proc/{terminal.process.pid}")
    assert PASSWORD.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    terminal.type(PASSWORD)
    await terminal.sees("The free trial has started")
    assert await terminal.ends() == 0
    assert not [word for word in ("short", PASSWORD, "Correct4Hoarse") if word in terminal.shown]


async def test_three_invalid_passwords_refuse_the_request(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    for _ in range(3):
        await terminal.sees("Administrator's password: ")
        terminal.type("password")
    await terminal.sees("password: Use at least one uppercase letter.")
    assert await terminal.ends() == 1


async def test_invalid_file_is_refused_before_the_password_prompt(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli, plan="gold"))
    await terminal.sees("plan: This plan is not on sale. Choose one of lite, basic, premium.")
    assert await terminal.ends() == 1
    assert "Administrator's password" not in terminal.shown


async def test_request_can_be_aborted_at_the_prompt(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli), forked=False)
    await terminal.sees("Administrator's password: ")
    await terminal.interrupt()
    assert await terminal.ends() == 130
    assert "Interrupted." in terminal.shown


async def test_end_of_input_aborts_the_request(cli: Cli) -> None:
    terminal = await cli.at_a_terminal("request", request_file(cli))
    await terminal.sees("Administrator's password: ")
    terminal.end_of_input()
    assert await terminal.ends() == 130


async def test_password_is_stored_nowhere(service: Service, cli: Cli) -> None:
    password = "Nowhere7Kept9"
    file = request_file(cli, company_name="Kept Here")
    answer = await cli.json("request", file, "--password-stdin", typed=password)
    workflow_id = WORKFLOW_ID_PREFIX + answer["subscription_id"]
    runs = await runs_of(service.temporal, workflow_id)

    async def found(value: str) -> tuple[int, int, int]:
        return (
            await count_rows(service.stack.addresses.database_url, [value]),
            await count_events(service.temporal, workflow_id, runs, [value]),
            await count_on_disk(service.stack.temporal, [value]),
        )

    in_record, *in_temporal = await found("Kept Here")
    assert in_record
    assert all(in_temporal) or service.temporal.data_converter.payload_codec
    assert await found(password) == (0, 0, 0)
    files = [path for path in service.directory.rglob("*.log") if password.encode() in path.read_bytes()]
    assert files == []
