"""Screenshots of the console: `python docs/images/console.py [PAGE…]`. Requires Chromium."""

import asyncio
import gc
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from temporalio.client import Client

from adapters.password_hashing import hashed
from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from starter.client import SubscriptionClient
from starter.exports import SubscriptionExports
from starter.setup import set_up
from subscription.business_calendar import day_of
from subscription.contract import ContractTerm
from worker import create_worker

HERE = Path(__file__).parent
PASSWORD = "Correct4Horse"
TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


@asynccontextmanager
async def console() -> AsyncIterator[tuple[SubscriptionClient, str]]:
    """Run the console on separate servers, and yield a client and the address."""
    with TemporaryDirectory() as directory:
        async with EmbeddedStack(Path(directory) / "stack", search_attributes={}) as stack:
            addresses = stack.addresses
            temporal = await Client.connect(addresses.temporal_address, data_converter=data_converter())
            await set_up(temporal, addresses.database_url, read_catalogue(DEFAULT_CATALOGUE))
            listening = socket.create_server(("127.0.0.1", 0))
            url = f"http://localhost:{listening.getsockname()[1]}"
            workflows = f"{addresses.ui_url}/namespaces/default/workflows"
            settings = ConsoleSettings(url=url, developer_sign_in=True, temporal_ui_url=workflows)
            async with (
                create_pool(addresses.worker_url, "worksub_worker") as pool,
                create_pool(addresses.reader_url, "worksub_reader") as reading,
                create_pool(addresses.api_url, "worksub_console") as writing,
                create_pool(addresses.api_url, "worksub_exporter") as exporting,
                create_worker(
                    temporal, pool, await worker_signer(pool), dns_resolvers=[addresses.dns_address]
                ),
            ):
                client = SubscriptionClient(temporal, reading)
                app = create_console(client, writing, SubscriptionExports(exporting), settings)
                server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                yield client, url
                server.should_exit = True
                await serving


class Camera:
    """Screenshots of pages, in files named after the pages."""

    def __init__(self, page: Page, wanted: list[str]) -> None:
        self.page = page
        self._wanted = wanted

    async def takes(self, name: str) -> None:
        if not self._wanted or name in self._wanted:
            await self.page.screenshot(path=HERE / f"console-{name}.png", full_page=True)


async def requested(client: SubscriptionClient, customer: str, **replaced: object) -> str:
    request: dict[str, object] = {
        "request_id": f"picture-{customer}-{len(str(replaced))}-{abs(hash(str(replaced)))}",
        "customer_id": customer,
        "region": "KR",
        "platform": "VPC",
        "plan": "basic",
        "members": 20,
        "agreed_terms": TERMS,
        "admin_id": "admin",
        "password_hash": hashed(PASSWORD),
        "company_name": "Hanbit Trading",
        "company_phone": "02-1234-5678",
        **replaced,
    }
    return (await client.request(request)).subscription_id


async def lives(client: SubscriptionClient) -> dict[str, str]:
    """Create subscriptions in several states: paid for seven months, unverified domain, suspended, new."""
    paid = await requested(client, "C-1001", account={"group": "hanbit"})
    clock = client.clock(paid)
    await client.switch_to_paid(paid, day_of(await clock.now()) + timedelta(days=9), ContractTerm.ANNUAL)
    await clock.advance_to(await clock.now() + timedelta(days=210))
    await client.settle(paid)
    await client.change_renewal_option(paid, ContractTerm.ANNUAL, members=30)
    await client.cancel(paid, day_of(await clock.now()) + timedelta(days=60), "admin@hanbit")
    domain = await requested(client, "C-1001", account={"domain": "saebyeok.example"}, plan="lite", members=8)
    lapsed = await requested(client, "C-1001", account={"group": "byeolbit"}, members=40)
    clock = client.clock(lapsed)
    await clock.advance_to(await clock.now() + timedelta(days=31))
    await client.settle(lapsed)
    trial = await requested(client, "C-1002", account={"group": "noeul"}, plan="premium", members=3)
    return {"paid": paid, "domain": domain, "lapsed": lapsed, "trial": trial}


async def sign_in(page: Page, url: str, customer: str | None) -> None:
    await page.goto(f"{url}/sign-in")
    if customer is not None:
        await page.locator("#customer_id").fill(customer)
    await page.locator(f"button[value={'operator' if customer is None else 'customer'}]").click()


async def pictures(wanted: list[str]) -> None:
    async with console() as (client, url), async_playwright() as playwright:
        ids = await lives(client)
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        await on_a_desktop(chromium, url, ids, wanted)
        await on_a_phone(chromium, url, ids, wanted)
        await chromium.close()


async def on_a_desktop(chromium: Browser, url: str, ids: dict[str, str], wanted: list[str]) -> None:
    context = await chromium.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    page = await context.new_page()
    camera = Camera(page, wanted)
    await page.goto(f"{url}/sign-in")
    await camera.takes("sign-in")
    await page.goto(f"{url}/design")
    await camera.takes("design")
    await page.goto(f"{url}/sign-in")
    await sign_in(page, url, "C-1001")
    await camera.takes("my-product")
    await the_request(page, url, camera)
    for name, tab in (("paid", ""), ("domain", "/settings"), ("lapsed", "")):
        await page.goto(f"{url}/subscriptions/{ids[name]}{tab}")
        await camera.takes(f"detail-{name}")
    paid = f"{url}/subscriptions/{ids['paid']}"
    await page.goto(f"{paid}/cancel")
    await camera.takes("cancel")
    await page.locator("main button.primary").click()
    await camera.takes("cancel-review")
    await page.goto(f"{paid}/renewal")
    await camera.takes("renewal")
    await page.goto(f"{paid}/upgrade")
    await camera.takes("upgrade")
    await page.goto(f"{url}/subscriptions/{ids['lapsed']}/switch")
    await camera.takes("switch")
    await page.locator("main button.primary").click()
    await camera.takes("switch-review")
    await page.goto(f"{url}/subscriptions/{ids['domain']}/rename")
    await camera.takes("rename")
    await page.goto(f"{url}/works/sign-in#admin@hanbit")
    await camera.takes("works-sign-in")
    await page.locator("#password").fill(PASSWORD)
    await page.locator("main button.primary").click()
    await page.locator("#member_id").fill("minji")
    await page.locator("#name").fill("Kim Minji")
    await page.get_by_role("button", name="Add a member").click()
    await camera.takes("works-admin")
    await page.goto(url)
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, url, None)
    await camera.takes("operator")
    await context.close()


async def the_request(page: Page, url: str, camera: Camera) -> None:
    await page.goto(f"{url}/request")
    await camera.takes("request-product")
    await page.locator("main button.primary").click()
    for term in ("service", "privacy"):
        await page.locator(f"[name=agreed][value^={term}]").check()
    await camera.takes("request-terms")
    await page.locator("main button.primary").click()
    entered = {
        "group": "Dolgorae",
        "admin_id": "admin",
        "password": "Correct4abc",
        "password_again": "Correct4abc",
        "company_name": "Dolgorae",
        "company_phone": "02-1234-5678",
    }
    for name, value in entered.items():
        await page.locator(f"#{name}").fill(value)
    await page.locator("main button.primary").click()
    await page.locator("#problems").wait_for()
    await camera.takes("request-information")
    await page.locator("#group").fill("dolgorae")
    for name in ("password", "password_again"):
        await page.locator(f"#{name}").fill(PASSWORD)
    await page.locator("main button.primary").click()
    await page.wait_for_url("**/check")
    await camera.takes("request-check")
    await page.locator("main button.primary").click()
    await page.wait_for_url("**/complete/**")
    await camera.takes("request-complete")


async def on_a_phone(chromium: Browser, url: str, ids: dict[str, str], wanted: list[str]) -> None:
    """Take a screenshot in Korean and in dark mode."""
    context = await chromium.new_context(
        viewport={"width": 390, "height": 800}, locale="ko-KR", color_scheme="dark"
    )
    page = await context.new_page()
    camera = Camera(page, wanted)
    await sign_in(page, url, "C-1001")
    await camera.takes("phone-my-product")
    await page.goto(f"{url}/subscriptions/{ids['paid']}")
    await camera.takes("phone-detail")
    await page.goto(f"{url}/subscriptions/{ids['paid']}/cancel")
    await camera.takes("phone-cancel")
    await page.locator("main button.primary").click()
    await camera.takes("phone-cancel-review")
    await page.goto(f"{url}/request")
    await camera.takes("phone-request")
    await context.close()


if __name__ == "__main__":
    asyncio.run(pictures(sys.argv[1:]))
    gc.collect()
