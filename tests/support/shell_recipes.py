"""The recipes of docs/operations.md: the commands of each, executed in a shell."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dev_stack.stack import EmbeddedStack
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

from .forked_process import program_directory
from .markdown_pages import blocks, page, shell_lines
from .polling import wait_for

EVERYDAY = "Find", "Inspect", "Send commands", "Batch operations", "Operations to avoid"
RECOVERY = "Troubleshooting", "Disaster recovery"
"""The chapters, by the test that runs their recipes."""

CATALOGUE = "catalogue.toml"
"""The file in the shell's directory with the published catalogue version."""

_TEXT = page("docs/operations.md")
_RECIPE = re.compile(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_CHAPTER = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PATIENCE_SECONDS = 180.0


def chapters() -> list[str]:
    """Return the headings of the chapters that have recipes."""
    return [chapter for chapter, text in _CHAPTER.findall(_TEXT) if _RECIPE.search(text)]


def recipes(*of_chapters: str) -> list[str]:
    """Return the headings of the recipes in these chapters that have shell commands."""
    return [
        heading
        for chapter, text in _CHAPTER.findall(_TEXT)
        if chapter in of_chapters
        for heading, recipe in _RECIPE.findall(text)
        if blocks(recipe, "sh")
    ]


def commands_of(heading: str) -> list[list[str]]:
    """Return the commands of a recipe, per shell block."""
    [text] = [text for name, text in _RECIPE.findall(_TEXT) if name == heading]
    return [list(shell_lines(f"```sh\n{block.text}```\n")) for block in blocks(text, "sh")]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str


@dataclass(frozen=True)
class Shell:
    """The shell of an operator of a service environment."""

    stack: EmbeddedStack
    service_env: ServiceEnv
    directory: Path

    async def types(
        self, commands: Sequence[str], replaced: Mapping[str, str], *, codes: Sequence[int] = ()
    ) -> list[str]:
        """Run the commands; return the output of each. The exit code must be 0, or that in `codes`."""
        printed = []
        for number, command in enumerate(commands):
            for example, real in replaced.items():
                command = re.sub(rf"(?<![\w.]){re.escape(example)}(?![\w.])", real, command)
            ended = await self._run(command)
            assert ended.code == (codes[number] if codes else 0), f"{command}\n{ended.out}"
            printed.append(ended.out)
        return printed

    async def _run(self, command: str) -> Ended:
        temporal = self.service_env.temporal
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.directory,
            env={
                "PATH": f"{program_directory()}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.directory),
                "PYTHONUTF8": "1",
                "TEMPORAL_ADDRESS": temporal.service_client.config.target_host,
                "TEMPORAL_NAMESPACE": temporal.namespace,
                "DATABASE_URL": self._database_url(command),
                "WORKSUB_CATALOGUE": str(self.directory / CATALOGUE),
            },
        )
        async with asyncio.timeout(_PATIENCE_SECONDS):
            out, _ = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode())

    def _database_url(self, command: str) -> str:
        """Return the owner's login for the setup, and the operators' login for every other command."""
        service_env = self.service_env
        return service_env.database_url if command.startswith("worksub setup") else service_env.reader_url


Recipe = Callable[[Shell, list[list[str]]], Awaitable[None]]
RECIPES: dict[str, Recipe] = {}
"""The test of each recipe by its heading; it gets a shell and the commands per block."""


def recipe(heading: str) -> Callable[[Recipe], Recipe]:
    def register(test: Recipe) -> Recipe:
        RECIPES[heading] = test
        return test

    return register


# -- subscriptions of the examples -------------------------------------------------------------------


async def in_days(subscription: SubscriptionDriver, days: int) -> str:
    return f"{await subscription.today() + timedelta(days=days)}"


async def has_failed(subscription: SubscriptionDriver, text: str) -> None:
    """Wait until a pending activity of the subscription has a failure with this text."""

    async def is_reported() -> bool:
        description = (await subscription.handle.describe()).raw_description
        return any(text in str(activity.last_failure) for activity in description.pending_activities)

    await wait_for("the pending activity has its failure", is_reported)


async def paid(shell: Shell, **changes: Any) -> SubscriptionDriver:
    subscription = await shell.service_env.requested(**changes)
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    return subscription


async def unverified(shell: Shell, domain: str) -> SubscriptionDriver:
    """Return a subscription whose verification record was published just after the last check."""
    subscription = await shell.service_env.requested(account={"domain": domain})
    await subscription.client.settle(subscription.id)
    shell.service_env.dns.publish_txt(domain, (await subscription.status()).proofs[0].txt_value)
    return subscription


async def named(subscription: SubscriptionDriver) -> dict[str, str]:
    """Return the placeholders of the examples, with the values of this subscription."""
    return {
        "ID": subscription.id,
        "acme": subscription.request["account"].get("group", "acme"),
        "C-1000482": subscription.request["customer_id"],
        "2027-01-01": await in_days(subscription, 10),
        "2027-07-01": await in_days(subscription, 20),
    }
