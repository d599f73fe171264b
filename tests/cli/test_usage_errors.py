"""Usage errors: exit code 2 and a usage message."""

import asyncio

from support.cli_runner import Cli

MISUSES: list[tuple[list[str], str]] = [
    (["swich"], "No such command 'swich'"),
    (["status"], "Missing"),
    (["status", "a", "b"], "unexpected extra argument"),
    (["status", "a", "--verbose"], "No such option"),
    (["list", "--state", "HAPPY"], "'HAPPY' is not one of PROVISIONING, TRIAL"),
    (["list", "--limit", "0"], "'--limit': it must be greater than or equal to 1"),
    (["list", "--limit", "many"], "'--limit': it must be a whole number"),
    (["list", "sleeping"], "'sleeping' is not one of trials-ending, reservations-due, contracts-ending"),
    (["list", "suspended", "--query", "Plan = 'basic'"], "either suspended or --query"),
    (["list", "--query", " "], "--query is empty"),
    (["switch", "a", "--term", "ANNUAL"], "--date"),
    (
        ["switch", "a", "--term", "WEEKLY", "--date", "2027-01-01"],
        "'WEEKLY' is not one of MONTHLY, ANNUAL",
    ),
    (["switch", "a", "--term", "ANNUAL", "--date", "2027-02-30"], "'2027-02-30' is not a date"),
    (["switch", "a", "--term", "ANNUAL", "--date", "20270201"], "Use the format 2027-01-31"),
    (["switch", "a", "--term", "ANNUAL", "--date", "today", "--members", "0"], "--members"),
    (["renewal", "a"], "either --term"),
    (["renewal", "a", "--term", "ANNUAL", "--none"], "either --term"),
    (["renewal", "a", "--none", "--plan", "lite"], "--none cannot be combined with"),
    (["upgrade", "a", "--agree"], "--plan, --members or --term"),
    (["cancel", "a", "--date", "today"], "must be confirmed"),
    (["rename", "a"], "either --group or --domain"),
    (["clock", "advance", "a"], "how far to advance"),
    (["clock", "advance", "a", "-3"], "No such option"),
    (["clock", "run-to", "a", "2027-01-01T10:00:00"], "neither a date such as 2027-01-31 nor"),
    (["clock", "advance", "a", "36526"], "36525"),
    (["simulate"], "Missing argument"),
    (["simulate", "a.yaml", "--engine", "magic"], "'--engine': 'magic' is not one of"),
]


async def test_usage_error_is_explained(unconfigured_cli: Cli) -> None:
    ends = await asyncio.gather(*(unconfigured_cli.run(*arguments, "--json") for arguments, _ in MISUSES))
    for (arguments, expected), result in zip(MISUSES, ends, strict=True):
        assert (result.code, result.error["code"]) == (2, "USAGE"), arguments
        assert expected in result.error["message"], arguments


async def test_usage_error_is_printed_to_standard_error(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run("switch", "a", "--term", "ANNUAL", "--date", "soon")
    assert result.code == 2
    assert result.out == ""
    assert "Error in date: " in result.err
    assert "For usage, see `worksub switch --help`." in result.err


async def test_help_names_every_command(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run()
    assert result.code == 0
    commands = (
        "demo dev worker setup check-name request status list timeline ledger switch renewal upgrade cancel "
        "withdraw quote rename verify-domain upcoming explain clock simulate doctor"
    )
    for command in commands.split():
        assert f" {command} " in result.out
