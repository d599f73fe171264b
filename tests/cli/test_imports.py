"""Imports of commands, which take most of the run time of a short command."""

import json
from pathlib import Path

from support.cli_runner import Cli, Ended

from .conftest import Service

HEAVY = {
    *("asyncio", "asyncpg", "idna", "publicsuffixlist", "pydantic", "rich", "temporalio"),
    *("subscription.catalogue", "subscription.events"),
}
PRINT_IMPORTS = f"""
import json, sys
from entrypoints.cli.app import run
for command in json.loads(sys.argv[1]):
    if code := run(command):
        sys.exit(code)
print(*{HEAVY} & {{*sys.modules}}, file=sys.stderr)
"""


async def _run(cli: Cli, *commands: list[str]) -> tuple[Ended, set[str]]:
    """Run commands that must succeed in one interpreter, and return the heavy modules that they imported."""
    result = await cli.python("-c", PRINT_IMPORTS, json.dumps(commands))
    assert result.code == 0, result
    return result, set(result.err.split())


async def test_help_imports_no_heavy_modules(unconfigured_cli: Cli) -> None:
    result, imported = await _run(unconfigured_cli, ["--help"])
    assert "Usage: worksub" in result.out
    assert imported == set()


async def test_read_commands_do_not_import_temporal(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    reads = ([name, subscription_id, "--json"] for name in ("entitlements", "timeline", "ledger", "explain"))
    _, imported = await _run(cli, *reads)
    assert "asyncpg" in imported
    assert imported.isdisjoint({"temporalio", "rich", "publicsuffixlist"})


async def test_status_imports_only_the_models_of_the_state(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    _, imported = await _run(cli, ["status", subscription_id], ["status", subscription_id, "--json"])
    assert imported == {"asyncio", "asyncpg", "pydantic"}


async def test_keys_and_webhooks_do_not_import_temporal(cli: Cli) -> None:
    _, imported = await _run(cli, ["keys", "list"], ["webhooks", "list"])
    assert "asyncpg" in imported
    assert "temporalio" not in imported


async def test_status_works_with_invalid_temporal_address(service: Service, tmp_path: Path) -> None:
    subscription_id = await service.subscribed()
    reading = Cli({"DATABASE_URL": service.settings["DATABASE_URL"], "TEMPORAL_ADDRESS": "nowhere"}, tmp_path)
    assert (await reading.json("status", subscription_id))["state"] == "TRIAL"
