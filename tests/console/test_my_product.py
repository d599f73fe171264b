"""Tests of the page My Product: order, search, cost, next event and erased subscriptions."""

import re

from support.console_server import ConsoleServer
from support.html_forms import sign_in
from support.service_env import unique_name


async def test_my_product_lists_newest_first_with_cost_and_next_charge(console: ConsoleServer) -> None:
    customer, older, newer = (unique_name(prefix) for prefix in ("C", "older", "newer"))
    service_env = console.service_env
    await service_env.paid("2026-01-01 09:00", "ANNUAL", customer_id=customer, account={"group": older})
    await service_env.requested("2026-01-02 09:00", customer_id=customer, account={"group": newer})
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = (await browser.get("/subscriptions")).text

        assert page.index(newer) < page.index(older)
        # Ten members of Basic at the annual price of 6,000; January is billed on 1 February.
        row = _text(page[page.index(older) :])
        assert "Basic, 10 members annual contract ₩60,000" in row
        assert "Service fees for January 2026 ₩60,000" in row

        found = (await browser.get("/subscriptions", params={"name": older.upper()})).text
        assert older in found
        assert newer not in found
        nothing = (await browser.get("/subscriptions", params={"name": "nosuchname"})).text
        assert "No account name contains “nosuchname”" in nothing
        assert older not in nothing


async def test_my_product_lists_erased_subscriptions_apart(console: ConsoleServer) -> None:
    customer, name = unique_name("C"), unique_name("gone")
    subscription = await console.service_env.requested(customer_id=customer, account={"group": name})
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.has_closed()
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = (await browser.get("/subscriptions")).text
    assert "1 deleted subscription" in page
    assert subscription.id in page
    assert name not in page


def _text(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).split())
