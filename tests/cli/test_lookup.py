"""The ID argument of the commands, `--watch`, `-` for standard input, `--version` and `hash-password`."""

import asyncio
import json
import unicodedata
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from argon2 import PasswordHasher
from support.cli_runner import PATIENCE_SECONDS, ROOT, Cli
from support.forked_process import PipedProcess
from support.request_files import PASSWORD, fresh, request_fields

from entrypoints.cli.app import create_app
from subscription.business_calendar import KST

from .conftest import Service

SCENARIO = ROOT / "examples" / "scenarios" / "annual-cancelled-early.yaml"


def tomorrow() -> str:
    return f"{datetime.now(KST).date() + timedelta(days=1)}"


async def test_account_or_id_prefix_identifies_the_subscription(service: Service, cli: Cli) -> None:
    group = fresh("lookup")
    subscription_id = await service.subscribed(account={"group": group})
    for reference in (group, group.upper(), f"minji@{group}", subscription_id[:13], subscription_id):
        assert (await cli.json("status", reference))["subscription_id"] == subscription_id
    domain = f"{fresh('lookup')}.example"
    other = await service.subscribed(account={"domain": domain})
    assert (await cli.json("status", domain))["subscription_id"] == other


COMMANDS: dict[str, list[str]] = {
    "status": [],
    "entitlements": [],
    "timeline": [],
    "ledger": [],
    "upcoming": [],
    "quote": ["--of", "upgrade", "--members", "20"],
    "explain": [],
    "export": ["--to", "FILE"],
    "switch": ["--date", "tomorrow", "--term", "ANNUAL"],
    "withdraw": [],
    "rename": ["--domain", "DOMAIN"],
    "verify-domain": [],
    "renewal": ["--none"],
    "upgrade": ["--agree", "--members", "20"],
    "adjust": ["SERVICE_FEE/2027-01-01", "--amount", "-1", "--reason", "GOODWILL", "--reference", "T-1"],
    "clock advance": ["1"],
    "clock run-to": ["tomorrow"],
    "notices list": ["--subscription"],
    "cancel": ["--date", "today", "--confirm", "ACCOUNT"],
}


def test_every_subscription_command_has_a_case() -> None:
    group: Any = typer.main.get_command(create_app())
    taking = {
        path
        for path, command in leaf_commands(group, "")
        for parameter in command.params
        if parameter.name in ("subscription_id", "subscription")
    }
    # A webhook replay also needs an endpoint and has its own test.
    assert taking == {*COMMANDS, "webhooks replay"}


def leaf_commands(command: Any, path: str) -> list[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        return [(path.strip(), command)]
    return [leaf for name, each in command.commands.items() for leaf in leaf_commands(each, f"{path} {name}")]


async def test_every_command_accepts_an_account(service: Service, cli: Cli, tmp_path: Path) -> None:
    group = fresh("lookup")
    subscription_id = await service.subscribed(account={"group": group})
    replaced = {
        "DOMAIN": f"{fresh('lookup')}.example",
        "ACCOUNT": f"minji@{group}",
        "FILE": f"{tmp_path / 'export.zip'}",
    }
    for command, options in COMMANDS.items():
        words = [replaced.get(option, option) for option in options]
        if words == ["--subscription"]:
            result = await cli.run(*command.split(), *words, group, "--json")
        else:
            result = await cli.run(*command.split(), group, *words, "--json")
        found = not isinstance(result.json, dict) or "error" not in result.json
        assert found or result.error["code"] not in ("SUBSCRIPTION_NOT_FOUND", "USAGE"), (command, result)
    assert (await cli.json("status", subscription_id))["state"] in ("CANCELED", "ERASED")


async def test_webhook_replay_accepts_an_account(service: Service, cli: Cli) -> None:
    group = fresh("lookup")
    await service.subscribed(account={"group": group})
    added = await cli.json("webhooks", "add", "https://hooks.acme.example/worksub", "--all")
    endpoint = added["endpoint_id"]
    queued = await cli.json("webhooks", "replay", endpoint, "--subscription", group)
    assert queued["queued"] >= 1
    await cli.json("webhooks", "remove", endpoint)


async def test_ambiguous_reference_is_refused_with_candidates(service: Service, cli: Cli) -> None:
    first = await service.subscribed(account={"group": fresh("lookup")})
    group = first[:8]  # hexadecimal digits, which are also a valid group name
    second = await service.subscribed(account={"group": group})
    ambiguous = await cli.run("cancel", group, "--date", "today", "--confirm", f"minji@{group}", "--json")
    assert ambiguous.code == 2
    assert ambiguous.error["code"] == "AMBIGUOUS_SUBSCRIPTION"
    assert {problem["field"] for problem in ambiguous.error["problems"]} == {first, second}
    for_people = await cli.run("status", group)
    assert all(f"  {each}: " in for_people.err for each in (first, second))
    assert (await cli.json("status", second))["state"] == "TRIAL"


async def test_account_with_other_administrator_is_not_found(service: Service, cli: Cli) -> None:
    group = fresh("lookup")
    subscription_id = await service.subscribed(account={"group": group})
    assert (await cli.json("status", f"MINJI@{group}"))["subscription_id"] == subscription_id
    for wrong in (f"admin@{group}", f"@{group}", f"minji@{group}@{group}"):
        result = await cli.run("withdraw", wrong, "--json")
        assert (result.code, result.error["code"]) == (1, "SUBSCRIPTION_NOT_FOUND")


async def test_internationalized_domain_is_found_in_any_form(service: Service, cli: Cli) -> None:
    name = fresh("lookup")
    domain = f"{name}.한국"
    subscription_id = await service.subscribed(account={"domain": domain})
    for typed in (domain, unicodedata.normalize("NFD", domain.upper()), f"minji@{domain}"):
        assert (await cli.json("status", typed))["subscription_id"] == subscription_id


@pytest.mark.parametrize(
    "words",
    [
        *(("notices", "list", "--subscription", typed) for typed in ("nobody-has-this", "")),
        *(("webhooks", "replay", "we_1", "--subscription", typed) for typed in ("nobody-has-this", "")),
    ],
)
async def test_filter_by_unknown_subscription_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    result = await cli.run(*words, "--json")
    assert (result.code, result.error["code"]) == (1, "SUBSCRIPTION_NOT_FOUND")


async def test_option_without_effect_is_refused(cli: Cli) -> None:
    for words, field in (
        (("list", "--customer", ""), "customer"),
        (("webhooks", "replay", "we_1", "--from", "7"), "from"),
        (("invoice", "show", "2027-000001", "--html", "-"), "html"),
        (("invoice", "show", "2027-000001", "--pdf", "-"), "pdf"),
        (("invoice", "show", "2027-000001", "--pdf", "a.pdf", "--html", "a.html"), "pdf"),
    ):
        result = await cli.run(*words, "--json")
        assert (result.code, result.error["code"], result.error["field"]) == (2, "USAGE", field)


async def test_test_event_for_paused_endpoint_is_refused(cli: Cli) -> None:
    added = await cli.json("webhooks", "add", "https://hooks.acme.example/worksub", "--all")
    endpoint = added["endpoint_id"]
    await cli.json("webhooks", "pause", endpoint)
    result = await cli.run("webhooks", "test", endpoint, "--json")
    assert (result.code, result.error["code"]) == (1, "ENDPOINT_NOT_ENABLED")
    assert (await cli.json("webhooks", "deliveries", endpoint))["deliveries"] == []
    await cli.json("webhooks", "remove", endpoint)


@pytest.mark.parametrize("reference", ["nobody-has-this", "abc", "", "한글", "a@b@c", "%", "____"])
async def test_unmatched_reference_is_not_found(cli: Cli, reference: str) -> None:
    result = await cli.run("status", reference, "--json")
    assert (result.code, result.error["code"]) == (1, "SUBSCRIPTION_NOT_FOUND")


async def test_the_list_shows_accounts(service: Service, cli: Cli) -> None:
    group, customer = fresh("lookup"), fresh("customer")
    subscription_id = await service.subscribed(account={"group": group}, customer_id=customer)
    [listed] = (await cli.json("list", "--customer", customer))["subscriptions"]
    assert listed["account_name"] == group
    assert group in (await cli.run("list", "--customer", customer)).out
    await cli.json("cancel", group, "--date", "today", "--confirm", f"minji@{group}")
    await watch_until_end(cli, subscription_id)
    [listed] = (await cli.json("list", "--customer", customer))["subscriptions"]
    assert listed["account_name"] is None


async def watch_until_end(cli: Cli, subscription_id: str) -> list[Any]:
    result = await cli.run("status", subscription_id, "--watch", "--json")
    assert result.code == 0
    return [json.loads(line) for line in result.out.splitlines()]


async def test_watched_status_prints_one_document_per_change(service: Service, cli: Cli) -> None:
    group = fresh("lookup")
    await service.subscribed(account={"group": group})
    status = await cli.begin("status", group, "--watch", "--json")
    timeline = await cli.begin("timeline", group, "--watch", "--json")
    assert (await next_document(status))["reservation"] is None
    assert [entry["event"] for entry in await next_document(timeline)] == ["TRIAL_STARTED"]
    await cli.json("switch", group, "--date", "tomorrow", "--term", "ANNUAL")
    assert (await next_document(status))["reservation"]["date"] == tomorrow()
    assert [entry["event"] for entry in await next_document(timeline)] == ["SWITCH_RESERVED"]
    await cli.json("withdraw", group)
    assert (await next_document(status))["reservation"] is None
    await cli.json("cancel", group, "--date", "today", "--confirm", f"minji@{group}")
    # Both commands end when the subscription ends.
    (last, _), (entries, _) = await asyncio.gather(status.communicate(), timeline.communicate())
    assert json.loads(last.splitlines()[-1])["state"] == "ERASED"
    assert json.loads(entries.splitlines()[-1])[-1]["event"] == "ERASED"
    assert (status.returncode, timeline.returncode) == (0, 0)


async def next_document(process: PipedProcess) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return json.loads(await process.stdout.readline())


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("timeline", "TRIAL_STARTED", "SWITCH_RESERVED"),
        ("status", "Nothing reserved", "Switch to a paid annual contract"),
    ],
)
async def test_watch_at_a_terminal_ends_with_ctrl_c(
    service: Service, cli: Cli, command: str, first: str, second: str
) -> None:
    group = fresh("lookup")
    await service.subscribed(account={"group": group})
    terminal = await cli.at_a_terminal(command, group, "--watch", forked=False)
    await terminal.sees(first)
    await cli.json("switch", group, "--date", "tomorrow", "--term", "ANNUAL")
    await terminal.sees(second)
    await terminal.interrupt()
    await terminal.sees("Interrupted.")
    assert await terminal.ends() == 130


async def test_request_is_read_from_standard_input(cli: Cli) -> None:
    result = await cli.run("request", "-", typed=json.dumps(request_fields()))
    assert (result.code, "without a terminal" in result.err) == (2, True)
    both = await cli.run("request", "-", "--password-stdin", "--json", typed="{}")
    assert (both.code, both.error["code"]) == (2, "USAGE")
    assert both.error["message"].startswith("FILE and --password-stdin cannot both read standard input")


async def test_scenario_and_catalogue_are_read_from_stdin(unconfigured_cli: Cli) -> None:
    scenario, catalogue = SCENARIO.read_text(), (ROOT / "catalogue.toml").read_text()
    from_file = await unconfigured_cli.json("simulate", str(SCENARIO))
    assert await unconfigured_cli.json("simulate", "-", typed=scenario) == from_file
    assert (
        await unconfigured_cli.json("simulate", str(SCENARIO), "--catalogue", "-", typed=catalogue)
        == from_file
    )
    for arguments in (("-", "-"), ("-", "--catalogue", "-")):
        refused = await unconfigured_cli.run("simulate", *arguments, "--json", typed=scenario)
        assert (refused.code, refused.error["code"]) == (2, "USAGE")
    wrong = await unconfigured_cli.run("simulate", "-", "--json", typed="name: [")
    assert wrong.error["problems"][0]["file"] == "standard input"


async def test_version_option_prints_the_package_version(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run("--version")
    assert (result.code, result.out) == (0, "worksub 0.1.0\n")


async def test_a_password_is_hashed_for_the_api(unconfigured_cli: Cli) -> None:
    answer = await unconfigured_cli.json("hash-password", "--password-stdin", typed=f"{PASSWORD}\n")
    assert PasswordHasher().verify(answer["password_hash"], PASSWORD)
    for_scripts = await unconfigured_cli.run("hash-password", "--password-stdin", typed=PASSWORD)
    assert PasswordHasher().verify(for_scripts.out.strip(), PASSWORD)
    weak = await unconfigured_cli.run("hash-password", "--password-stdin", "--json", typed="weak")
    assert (weak.code, weak.error["code"]) == (1, "REQUEST_REFUSED")
    piped = await unconfigured_cli.run("hash-password", "--json")
    assert (piped.code, piped.error["field"]) == (2, "password")


async def test_a_password_is_typed_twice(unconfigured_cli: Cli) -> None:
    terminal = await unconfigured_cli.at_a_terminal("hash-password")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    terminal.type("Another4Horse")
    await terminal.sees("The passwords do not match")
    await terminal.sees("Administrator's password: ")
    terminal.type(PASSWORD)
    await terminal.sees("The same password again: ")
    terminal.type(PASSWORD)
    await terminal.sees("$argon2id$")
    assert await terminal.ends() == 0


def test_every_command_prints_json() -> None:
    group: Any = typer.main.get_command(create_app())
    without = [
        path
        for path, command in leaf_commands(group, "")
        if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert without == []
