"""`make corpus`: run every scenario, and store its histories as those of this release."""

import asyncio
import gc
import logging
import re
import shutil
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from support.service_env import open_stack
from temporalio.client import WorkflowHistory
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from .corpus import COMMANDS, CORPUS, write, write_checksums
from .recording_env import open_scene
from .scenarios import SCENARIOS, commands_of, run_scenarios

ROOT = Path(__file__).parents[2]


def release_of_this_code() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def releases_that_are_out(changelog: str) -> list[str]:
    """Return the releases with a date in the changelog."""
    return re.findall(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)


async def record_scenarios() -> dict[str, list[WorkflowHistory]]:
    """Run every scenario with this code on separate servers; return the histories."""
    with TemporaryDirectory(prefix="worksub-corpus-") as directory:
        async with open_stack(Path(directory)) as stack, open_scene(stack) as scene:
            return await run_scenarios(SCENARIOS.values(), scene)


def main() -> int:
    release = release_of_this_code()
    target = CORPUS / release
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if target.exists() and release in releases_that_are_out(changelog):
        print(
            f"Release {release} is out, and its corpus is never changed. Give pyproject.toml the version of "
            "the next release, and CHANGELOG.md a heading for it.",
            file=sys.stderr,
        )
        return 2
    be_quiet()
    subscriptions = asyncio.run(record_scenarios())
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, runs in subscriptions.items():
        write(target, name, runs)
    (target / COMMANDS).write_text(commands_of(subscriptions), encoding="utf-8")
    write_checksums(target)
    size = sum(file.stat().st_size for file in target.iterdir())
    print(f"{len(subscriptions)} scenarios in {target.relative_to(ROOT)}, {size // 1000} kB.")
    return 0


def be_quiet() -> None:
    """Silence the expected warnings of scenarios with failures."""
    logging.disable(logging.CRITICAL)
    errors = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=errors)))


if __name__ == "__main__":
    code = main()
    gc.collect()  # or the SDK may abort an interpreter that exits (sdk-python#300)
    sys.exit(code)
