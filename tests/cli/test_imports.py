"""Imports of commands, which take most of the run time of a short command."""

from pathlib import Path

from support.cli_runner import Cli, Ended

from .conftest import Service

PRINT_IMPORTS = """
import sys
from entrypoints.cli.app import run
code = run(sys.argv[1:])
print(*{"asyncio", "asyncpg", "pydantic", "rich", "temporalio"} & {*sys.modules}, file=sys.stderr)
sys.exit(code)
"""


async def _run(cli: Cli, *arguments: str) -> tuple[Ended, set[str]]:
    """Run a command that must succeed, and return the heavy modules that it imported."""
    result = await cli.python("-c", PRINT_IMPORTS, *arguments)
    assert result.code == 0, result
    return result, set(result.err.split())


async def test_help_imports_no_heavy_modules(unconfigured_cli: Cli) -> None:
    result, imported = await _run(unconfigured_cli, "--help")
    assert "Usage: worksub" in result.out
    assert imported == set()


async def test_read_commands_do_not_import_temporal(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    for question in ("status", "timeline", "ledger", "explain"):
        _, imported = await _run(cli, question, subscription_id, "--json")
        assert "asyncpg" in imported
        assert imported.isdisjoint({"temporalio", "rich"})


async def test_keys_and_webhooks_do_not_import_temporal(cli: Cli) -> None:
    for managed in ("keys", "webhooks"):
        _, imported = await _run(cli, managed, "list")
        assert "asyncpg" in imported
        assert "temporalio" not in imported


async def test_status_works_with_invalid_temporal_address(service: Service, tmp_path: Path) -> None:
    subscription_id = await service.subscribed()
    reading = Cli({"DATABASE_URL": service.settings["DATABASE_URL"], "TEMPORAL_ADDRESS": "nowhere"}, tmp_path)
    assert (await reading.json("status", subscription_id))["state"] == "TRIAL"
