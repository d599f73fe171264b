"""A catalogue version published while a page is open: the page shows it before any command runs."""

from collections.abc import AsyncIterator

import pytest
from support.console_server import ConsoleServer, run_console
from support.html_forms import sign_in, submit
from support.service_env import catalogue, open_service_env, publish
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack

DEARER = {"list = 7200": "list = 9200", "rename_lock_hours = 24": "rename_lock_hours = 48"}


@pytest.fixture
async def isolated_console(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ConsoleServer]:
    """Run a console whose catalogue the test can change."""
    async with open_service_env(stack, temporal) as service_env, run_console(service_env) as console:
        yield console


async def test_r19_changed_prices_are_shown_before_charging(
    isolated_console: ConsoleServer,
) -> None:
    subscription = await isolated_console.service_env.requested(plan="basic", members=10)
    async with isolated_console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        path = f"/subscriptions/{subscription.id}"
        page = await browser.get(f"{path}/switch")
        page = await submit(browser, page, "/switch", term="MONTHLY")
        assert "₩72,000" in page.text
        assert "once in 24 hours" in (await browser.get(f"{path}/rename")).text
        assert await publish(
            isolated_console.service_env.pool, catalogue("newer", f"{await subscription.today()}", **DEARER)
        )
        page = await submit(browser, page, "/switch")
        assert page.status_code == 409
        assert "₩92,000" in page.text
        assert await subscription.events() == ["TRIAL_STARTED"]
        assert (await submit(browser, page, "/switch")).status_code == 200
        assert "once in 48 hours" in (await browser.get(f"{path}/rename")).text
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"
