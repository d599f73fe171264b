"""A catalogue version published while a page is open: the page shows it before any command runs."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from support.console_server import ConsoleServer, run_console
from support.html_forms import sign_in, submit
from support.service_env import catalogue, catalogue_text, open_service_env, publish, unique_name
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack
from subscription.catalogue import parse_catalogue

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


async def test_r2_r3_new_plans_and_terms_need_no_template(isolated_console: ConsoleServer) -> None:
    """A plan and a version of a term that no template knows, and a plan and a term without texts."""
    gold = '[plans.gold]\ntitle = "Gold"\nrank = 9\nlist = 20000\nannual = 18000\n'
    gold += 'functions = {en = ["Vault & keys"], ko = ["금고와 열쇠"]}\n'
    bare = '[plans.bare]\ntitle = "Bare"\nrank = 10\nlist = 20000\nannual = 18000\n'
    rules = '[[terms]]\nid = "house"\nversion = "1"\nrequired = true\n'
    unnamed = f"{rules.replace('house', 'unnamed')}\n"
    rules += 'title = {en = "House rules", ko = "이용 규칙"}\n'
    rules += 'text = {en = "Knock <first>.", ko = "노크하십시오."}\n'
    new = catalogue("new", "2020-06-01", **{"[plans.lite]": f"{rules}{unnamed}{gold}{bare}[plans.lite]"})
    assert await publish(isolated_console.service_env.pool, new)
    async with isolated_console.browser() as browser:
        await sign_in(browser, unique_name("C"))
        page = await browser.get("/request")
        assert page.text.count("Detailed Functions") == 4
        assert "Vault &amp; keys" in page.text
        assert "금고와 열쇠" in (await browser.get(f"{page.url}?language=ko")).text
        page = await submit(browser, page, "/product", plan="gold", members="3")
        assert "노크하십시오." in page.text
        page = await browser.get(f"{page.url}?language=en")
        assert "Knock &lt;first&gt;." in page.text
        assert page.text.count('class="text" tabindex') == 4
        assert page.text.count("노크하십시오.") == 1
        page = await submit(browser, page, "/terms", agreed=[])
        assert "House rules (1), unnamed (1) to continue" in page.text


async def test_r35_announced_rise_is_shown_with_what_can_be_done(isolated_console: ConsoleServer) -> None:
    """A monthly contract pays the rise at its first renewal that is 30 days or more ahead."""
    subscription = await isolated_console.service_env.requested(plan="basic", members=10)
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today}", term="MONTHLY")
    path = f"/subscriptions/{subscription.id}"
    async with isolated_console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        assert "The price will rise" not in (await browser.get(path)).text
        assert await publish(isolated_console.service_env.pool, catalogue("newer", f"{today}", **DEARER))
        page = await browser.get(path)
        assert "The price will rise" in page.text
        assert "₩72,000" in page.text
        assert "<strong>₩92,000</strong>" in page.text
        assert "₩9,200 instead of ₩7,200 per member per month" in page.text
        assert "Continue with an annual contract for ₩60,000 per month" in page.text
        assert "Continue on Lite for ₩36,000 per month" in page.text
        assert "free of charge" in page.text


async def test_r2_request_page_says_that_there_is_no_room_for_a_trial(
    isolated_console: ConsoleServer,
) -> None:
    limited = catalogue("limited", "2020-06-01", **{"per_customer = 3": "per_customer = 1"})
    assert await publish(isolated_console.service_env.pool, limited)
    customer, refused = unique_name("C"), "At most 1 of your subscriptions can be in trial or grace period"
    async with isolated_console.browser() as browser:
        await sign_in(browser, customer)
        assert refused not in (await browser.get("/request")).text
        await isolated_console.service_env.requested(customer_id=customer)
        assert refused in (await browser.get("/request")).text


async def test_operators_preview_a_new_version(isolated_console: ConsoleServer) -> None:
    subscription = await isolated_console.service_env.requested(plan="basic", members=10)
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today}", term="MONTHLY")
    newer = catalogue_text("newer", f"{today + timedelta(days=40)}", f"{today}", **DEARER)
    async with isolated_console.browser() as browser:
        await sign_in(browser, "")
        page = await browser.get("/operator/catalogue")
        shown = await submit(browser, page, "/operator/catalogue", catalogue=newer)
        assert "₩72,000 → ₩92,000" in shown.text
        assert re.search(r"worksub catalogue publish FILE --preview [0-9a-f]{16}", shown.text)
        for field, value, message in (
            ("catalogue", newer.replace("rank = 1", "rank = x"), "not TOML"),
            ("catalogue", newer.replace("list = 9200", "list = -1"), "plans.basic.list: Enter 0 or more."),
            ("catalogue", newer.replace("rank = 3", "rank = 4"), "plans.premium.rank: Set rank 3"),
            ("as_of", "9999-12-31", "The latest possible date is"),
        ):
            refused = await submit(browser, page, "/operator/catalogue", **{"catalogue": newer, field: value})
            assert refused.status_code == 422
            assert message in refused.text
        assert await publish(isolated_console.service_env.pool, parse_catalogue(newer))
        announced = await browser.get("/operator/catalogue?version=newer&language=ko")
        assert "72,000원 → 92,000원" in announced.text
        assert "이미 게시된 버전입니다." in announced.text
