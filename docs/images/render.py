"""Make the README's pictures anew: `python docs/images/render.py`, with Playwright and Chromium installed."""

import asyncio
import gc
import io
import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import async_playwright
from rich.console import Console
from rich.text import Text
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.database import connected
from activities.settings import DEFAULT_CATALOGUE, read_catalogue
from starter.client import SubscriptionClient
from starter.demo import REQUEST_FILE, run_demo
from starter.documents import read_documents
from starter.embedded.stack import EmbeddedStack
from starter.passwords import hashed
from starter.setup import set_up
from subscription.calendar import day_of
from subscription.commands import ContractTerm
from subscription.effects import WORKFLOW_ID_PREFIX
from worker import create_worker

HERE = Path(__file__).parent
WIDTH = 118
SHOWN_FROM = "9. "


async def demo_picture() -> None:
    """The last steps of the demo: the quote, the cancellation, and what stays and goes."""
    recording = io.StringIO()
    await run_demo(
        Console(file=recording, width=WIDTH, force_terminal=True), read_catalogue(DEFAULT_CATALOGUE)
    )
    lines = [line for line in recording.getvalue().splitlines() if "Erasing…" not in line]
    start = next(n for n, line in enumerate(lines) if Text.from_ansi(line).plain.startswith(SHOWN_FROM))
    picture = Console(record=True, width=WIDTH, file=io.StringIO())
    picture.print(Text.from_ansi("\n".join(lines[start:])))
    picture.save_svg(str(HERE / "demo.svg"), title="make demo")


async def temporal_ui_picture() -> None:
    """A subscription seven months on, asleep, as the Temporal UI shows it."""
    catalogue = read_catalogue(DEFAULT_CATALOGUE)
    with TemporaryDirectory() as directory:
        async with EmbeddedStack(Path(directory) / "stack", search_attributes={}) as stack:
            client = await Client.connect(
                stack.addresses.temporal_address, data_converter=pydantic_data_converter
            )
            url = stack.addresses.database_url
            await set_up(client, url, catalogue)
            async with (
                connected(url, "worksub_worker") as pool,
                connected(url, "worksub_reader") as reading,
                create_worker(client, pool, dns_resolvers=[stack.addresses.dns_address]),
            ):
                subscription_id = await live_seven_months(SubscriptionClient(client, reading))
                await photograph(
                    f"{stack.addresses.ui_url}/namespaces/default/workflows/{WORKFLOW_ID_PREFIX}{subscription_id}",
                    HERE / "temporal-ui.png",
                )


async def photograph(page_url: str, picture: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        page = await browser.new_page(viewport={"width": 1400, "height": 1150})
        await page.goto(page_url)
        await page.get_by_text("service fees for").first.wait_for()
        await page.screenshot(path=picture)
        await browser.close()


async def live_seven_months(client: SubscriptionClient) -> str:
    [document] = read_documents(REQUEST_FILE)
    request = {**document.fields, "account": {"group": "hanbit"}, "password_hash": hashed("Correct4Horse")}
    answer = await client.request(request)
    clock = client.clock(answer.subscription_id)
    today = day_of(await clock.now())
    await client.switch_to_paid(answer.subscription_id, today + timedelta(days=9), ContractTerm.ANNUAL)
    await clock.advance_to(await clock.now() + timedelta(days=210))
    await client.settle(answer.subscription_id)
    await client.change_renewal_option(answer.subscription_id, ContractTerm.ANNUAL, members=30)
    return answer.subscription_id


if __name__ == "__main__":
    asyncio.run(demo_picture())
    asyncio.run(temporal_ui_picture())
    gc.collect()
