"""Page size limits in bytes, because load times depend on the machine."""

from importlib import resources

import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in
from support.service_env import unique_name
from support.subscription_driver import SubscriptionDriver

from entrypoints.console.rendering import asset

PAGES = {
    "/subscriptions": 2_000,
    "/request": 3_000,
    "/subscriptions/{id}": 6_000,
    "/subscriptions/{id}/billing": 4_000,
    "/subscriptions/{id}/activity": 4_000,
    "/subscriptions/{id}/settings": 3_000,
    "/subscriptions/{id}/upgrade": 3_000,
    "/subscriptions/{id}/renewal": 3_000,
    "/subscriptions/{id}/cancel": 3_500,
    "/subscriptions/{id}/rename": 2_500,
}


@pytest.fixture(scope="module")
async def year_old_subscription(console: ConsoleServer) -> SubscriptionDriver:
    """Create a subscription with one year of charges."""
    subscription = await console.service_env.paid("2026-01-01 09:00", term="ANNUAL")
    await subscription.advance_to("2027-01-01 00:00")
    return subscription


@pytest.mark.parametrize("path", PAGES)
async def test_page_size_is_bounded_after_a_year(
    console: ConsoleServer, year_old_subscription: SubscriptionDriver, path: str
) -> None:
    async with console.browser("ko") as browser:
        await sign_in(browser, year_old_subscription.request["customer_id"])
        address = (
            (await browser.get(path)).url.path
            if path == "/request"
            else path.format(id=year_old_subscription.id)
        )
        async with browser.stream("GET", address) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-encoding"] == "gzip"
            await answer.aread()
            assert answer.num_bytes_downloaded <= PAGES[path]


async def test_assets_are_cached_and_small(
    console: ConsoleServer,
) -> None:
    heaviest = {"console.css": 8_000, "console.js": 2_500, "request.js": 2_500, "icon.svg": 1_000}
    there = {file.name for file in resources.files("entrypoints.console").joinpath("static").iterdir()}
    assert there == set(heaviest)
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        page = await browser.get("/request")
        for name, most in heaviest.items():
            assert asset(name) in page.text
            async with browser.stream("GET", asset(name)) as answer:
                await answer.aread()
                assert answer.num_bytes_downloaded <= most
                assert "immutable" in answer.headers["cache-control"]
