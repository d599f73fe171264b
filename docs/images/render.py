"""Images of the documentation: `python docs/images/render.py`. Requires Playwright and Chromium."""

import asyncio
import gc
import io
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from playwright.async_api import FloatRect, Page, async_playwright
from rich.console import Console
from rich.text import Text
from temporalio.client import Client

from adapters.password_hashing import hashed
from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.demo import REQUEST_FILE, run_demo
from entrypoints.cli.yaml_documents import read_documents
from starter.client import SubscriptionClient
from starter.filters import RUNNING_SUBSCRIPTIONS
from starter.setup import set_up
from subscription.business_calendar import day_of
from subscription.contract import ContractTerm
from subscription.ids import WORKFLOW_ID_PREFIX
from worker import create_worker

HERE = Path(__file__).parent
WIDTH = 118
SHOWN_FROM = "9. "
COLUMNS = "SubscriptionState", "Access", "Plan", "Term", "AccountName", "NextDeadline", "Workflow ID"

_numbers = itertools.count(48213)


async def demo_picture() -> None:
    """Save the last steps of the demo as an SVG: quote, cancellation, erased and remaining data."""
    recording = io.StringIO()
    await run_demo(
        Console(file=recording, width=WIDTH, force_terminal=True), read_catalogue(DEFAULT_CATALOGUE)
    )
    lines = [line for line in recording.getvalue().splitlines() if "Erasing…" not in line]
    start = next(n for n, line in enumerate(lines) if Text.from_ansi(line).plain.startswith(SHOWN_FROM))
    picture = Console(record=True, width=WIDTH, file=io.StringIO())
    picture.print(Text.from_ansi("\n".join(lines[start:])))
    picture.save_svg(str(HERE / "demo.svg"), title="make demo")


@asynccontextmanager
async def service() -> AsyncIterator[tuple[SubscriptionClient, str]]:
    """Run the service on separate servers, and yield the Web UI address of its workflows."""
    with TemporaryDirectory() as directory:
        async with EmbeddedStack(Path(directory) / "stack", search_attributes={}) as stack:
            addresses = stack.addresses
            temporal = await Client.connect(addresses.temporal_address, data_converter=data_converter())
            await set_up(temporal, addresses.database_url, read_catalogue(DEFAULT_CATALOGUE))
            async with (
                create_pool(addresses.worker_url, "worksub_worker") as pool,
                create_pool(addresses.reader_url, "worksub_reader") as reading,
                create_worker(
                    temporal, pool, await worker_signer(pool), dns_resolvers=[addresses.dns_address]
                ),
            ):
                client = SubscriptionClient(temporal, reading)
                yield client, f"{addresses.ui_url}/namespaces/default/workflows"


@asynccontextmanager
async def browser(width: int, height: int) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield await chromium.new_page(viewport={"width": width, "height": height})
        await chromium.close()


async def temporal_ui_pictures() -> None:
    """Take screenshots of Temporal's Web UI: one for the README, three for the operations page."""
    async with service() as (client, workflows):
        subscription_id = await live_seven_months(client)
        await live_beside_it(client)
        page_url = f"{workflows}/{WORKFLOW_ID_PREFIX}{subscription_id}"
        async with browser(1400, 1150) as page:
            await page.goto(page_url)
            await page.get_by_text("service fees for").first.wait_for()
            await page.screenshot(path=HERE / "temporal-ui.png")
        async with browser(1560, 560) as page:
            columns = json.dumps({"default": [{"label": column} for column in COLUMNS]})
            await page.add_init_script(
                f"localStorage.setItem('namespace-workflow-table-columns', '{columns}')"
            )
            await page.goto(f"{workflows}?query={quote(RUNNING_SUBSCRIPTIONS)}")
            await page.get_by_text("RESTRICTED").first.wait_for()
            await page.screenshot(path=HERE / "operations-list.png", clip=beside_the_menu(1560, 560))
        async with browser(1420, 790) as page:
            await page.goto(page_url)
            await page.get_by_text("service fees for").first.wait_for()
            await page.get_by_text("User Metadata").first.click()
            await page.frame_locator("iframe").get_by_text("Due so far").wait_for()
            await page.screenshot(path=HERE / "operations-card.png", clip=beside_the_menu(1420, 790))
            await page.get_by_role("button", name="More Actions").click()
            await page.get_by_role("menu").get_by_text("Send an Update").first.click()
            dialog = page.locator("dialog[open]")
            await dialog.locator("#update-select").locator("xpath=..").click()
            await dialog.get_by_text("Choose the terms of the next contract").wait_for()
            await dialog.screenshot(path=HERE / "operations-update.png")


def beside_the_menu(width: int, height: int) -> FloatRect:
    return {"x": 260, "y": 60, "width": width - 260, "height": height - 60}


async def live_seven_months(client: SubscriptionClient) -> str:
    """Create a subscription that has been paid for seven months."""
    subscription_id = await requested(client, account={"group": "hanbit"})
    clock = client.clock(subscription_id)
    today = day_of(await clock.now())
    await client.switch_to_paid(subscription_id, today + timedelta(days=9), ContractTerm.ANNUAL)
    await clock.advance_to(await clock.now() + timedelta(days=210))
    await client.settle(subscription_id)
    await client.change_renewal_option(subscription_id, ContractTerm.ANNUAL, members=30)
    return subscription_id


async def live_beside_it(client: SubscriptionClient) -> None:
    """Create more subscriptions, each in another state."""
    await requested(client, account={"domain": "saebyeok.example"}, plan="lite", members=8)
    await requested(client, account={"group": "dolgorae"}, plan="premium", members=120)
    paid = await requested(client, account={"group": "noeul"}, members=3)
    await client.switch_to_paid(paid, day_of(await client.clock(paid).now()), ContractTerm.MONTHLY)
    lapsed = await requested(client, account={"group": "byeolbit"}, members=40)
    clock = client.clock(lapsed)
    await clock.advance_to(await clock.now() + timedelta(days=31))
    await client.settle(lapsed)


async def requested(client: SubscriptionClient, **replaced: Any) -> str:
    [document] = read_documents(REQUEST_FILE)
    number = next(_numbers)
    mine = {"request_id": f"request-{number}", "customer_id": f"C-{number}"}
    request = {**document.fields, **mine, **replaced, "password_hash": hashed("Correct4Horse")}
    return (await client.request(request)).subscription_id


if __name__ == "__main__":
    asyncio.run(demo_picture())
    asyncio.run(temporal_ui_pictures())
    gc.collect()
