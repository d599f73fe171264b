"""`worksub export`: a complete file or none, and a result for scripts (R37)."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from support.cli_runner import Cli

from .conftest import Service


async def test_r37_archive_is_written_once_and_privately(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    before = (await service.client.recorded_state(subscription_id)).last_export_at
    written = await cli.json("export", subscription_id, "--to", "backup.zip")
    file = cli.directory / "backup.zip"
    content = file.read_bytes()
    assert written == {
        "subscription_id": subscription_id,
        "path": "backup.zip",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert file.stat().st_mode & 0o777 == 0o600
    [subscription] = json.loads(zipfile.ZipFile(file).read("subscription.json"))
    assert subscription["subscription_id"] == subscription_id
    taken = (await service.client.recorded_state(subscription_id)).last_export_at
    assert (before, taken is None) == (None, False)

    refused = await cli.run("export", subscription_id, "--to", "backup.zip", "--json")
    assert (refused.code, refused.error["field"]) == (2, "to")
    assert file.read_bytes() == content
    again = await cli.run("export", subscription_id, "--to", "backup.zip", "--force")
    assert (again.code, again.out) == (0, "")
    assert again.err.startswith(f"Exported {subscription_id} to backup.zip: ")
    assert [path.name for path in cli.directory.iterdir()] == ["backup.zip"]


async def test_r37_failed_export_leaves_no_file(service: Service, cli: Cli) -> None:
    unknown = await cli.run("export", "no-such-subscription", "--to", "backup.zip", "--json")
    assert (unknown.code, unknown.error["code"]) == (1, "SUBSCRIPTION_NOT_FOUND")
    subscription_id = await service.subscribed()
    nowhere = await cli.run("export", subscription_id, "--to", str(Path("no") / "such.zip"), "--json")
    assert (nowhere.code, nowhere.error["field"]) == (2, "to")
    assert [*cli.directory.iterdir()] == []
    assert (await service.client.recorded_state(subscription_id)).last_export_at is None


async def test_r37_archive_is_written_to_standard_output(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    piped = await cli.start("export", subscription_id, "--to", "-")
    archive, _ = await piped.communicate()
    assert piped.returncode == 0
    assert zipfile.ZipFile(io.BytesIO(archive)).testzip() is None
    both = await cli.run("export", subscription_id, "--to", "-", "--json")
    assert (both.code, both.error["field"]) == (2, "to")
