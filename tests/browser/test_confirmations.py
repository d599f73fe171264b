"""Confirmations and forms in a real browser, with the script loaded, delayed and missing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route
from support.console_server import ConsoleServer
from support.service_env import PASSWORD, unique_name
from support.subscription_driver import SubscriptionDriver

from subscription.business_calendar import day_of


@asynccontextmanager
async def a_context(chromium: Browser, language: str = "en") -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(locale=language, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield context
    await context.close()


async def signed_in(context: BrowserContext, console: ConsoleServer, customer: str) -> Page:
    page = await context.new_page()
    await page.goto(f"{console.url}/sign-in", wait_until="commit")
    await page.locator("#customer_id").fill(customer)
    await page.locator("button[value=customer]").click(no_wait_after=True)
    await page.wait_for_url("**/subscriptions", wait_until="commit")
    return page


async def blocked(route: Route) -> None:
    await route.abort()


async def never_answered(route: Route) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("script", [blocked, never_answered])
async def test_cancellation_without_javascript_uses_the_typed_date(
    console: ConsoleServer, chromium: Browser, script: Callable[[Route], Awaitable[None]]
) -> None:
    subscription = await console.service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    later = await subscription.today() + timedelta(days=40)
    async with a_context(chromium) as context:
        await context.route("**/console.js*", script)
        page = await signed_in(context, console, subscription.request["customer_id"])
        await page.goto(f"{console.url}/subscriptions/{subscription.id}/cancel", wait_until="commit")
        await page.locator("[name=when][value=DATE]").check()
        await page.locator("#date").fill(f"{later}")
        assert await page.locator("button.danger").count() == 0
        await page.locator("main button.primary").click(no_wait_after=True)
        await page.locator("#confirmation").fill(await subscription.confirmation())
        assert "Cancel on" in await page.locator("button.danger").inner_text()
        await page.locator("button.danger").click(no_wait_after=True)
        await page.locator(".toast").wait_for()
        await context.unroute_all(behavior="ignoreErrors")
    assert await reserved_for(subscription) == later


async def reserved_for(subscription: SubscriptionDriver) -> date | None:
    reserved = (await subscription.status()).reservation
    return reserved.date if reserved else None


async def test_two_tabs_finalize_their_own_drafts(console: ConsoleServer, chromium: Browser) -> None:
    customer = f"customer-of-{unique_name('tabs')}"
    async with a_context(chromium) as context:
        await signed_in(context, console, customer)
        tabs = [
            await filled_in(context, console, plan, members)
            for plan, members in (("lite", "3"), ("premium", "99"))
        ]
        for tab in tabs:
            await tab.get_by_role("button", name="Finalize Request").click()
            await tab.get_by_text("The free trial has started").wait_for()
    listed = await console.service_env.client.list(customer_id=customer)
    assert {(each.plan, each.members) for each in listed} == {("lite", 3), ("premium", 99)}


async def filled_in(context: BrowserContext, console: ConsoleServer, plan: str, members: str) -> Page:
    """Fill in a request up to its check page, with Enter: it must trigger "next", not the language."""
    page = await context.new_page()
    await page.goto(f"{console.url}/request")
    await page.locator(f"[name=plan][value={plan}]").check()
    await page.locator("#members").fill(members)
    await page.locator("#members").press("Enter")
    for term in ("service", "privacy"):
        await page.locator(f"[name=agreed][value^={term}]").check()
    await page.locator("main button.primary").click()
    fields = {
        "group": unique_name(plan),
        "admin_id": "admin",
        "password": PASSWORD,
        "password_again": PASSWORD,
    }
    for name, value in {**fields, "company_name": "Acme", "company_phone": "02-1234-5678"}.items():
        await page.locator(f"#{name}").fill(value)
    await page.locator("#company_phone").press("Enter")
    await page.get_by_role("button", name="Finalize Request").wait_for()
    return page


async def go_to_information_page(page: Page, console: ConsoleServer) -> None:
    await page.goto(f"{console.url}/request")
    await page.locator("main button.primary").click()
    for term in ("service", "privacy"):
        await page.locator(f"[name=agreed][value^={term}]").check()
    await page.locator("main button.primary").click()


async def test_editing_the_name_clears_the_availability_message(
    console: ConsoleServer, chromium: Browser
) -> None:
    async with a_context(chromium) as context:
        page = await signed_in(context, console, unique_name("customer"))
        await go_to_information_page(page, console)
        for edit in ("#group", "[name=kind][value=DOMAIN]"):
            await page.locator("[name=kind][value=GROUP]").check()
            await page.locator("#group").fill(unique_name("free"))
            await page.get_by_role("button", name="Check for Duplicates").click()
            await page.get_by_text("is available").wait_for()
            if edit == "#group":
                await page.locator(edit).press_sequentially("x")
            else:
                await page.locator(edit).check()
            assert await page.locator("#duplicates").inner_text() == ""


RECORD_SHOWN_RESULTS = """() => {
    const result = document.getElementById("duplicates");
    window.shown = [];
    new MutationObserver(() => window.shown.push(result.innerText)).observe(result, {childList: true});
}"""


async def test_late_name_check_response_is_ignored(console: ConsoleServer, chromium: Browser) -> None:
    was_requested, answered = asyncio.Event(), asyncio.Event()

    async def answer_late(route: Route) -> None:
        was_requested.set()
        await answered.wait()
        await route.continue_()

    async with a_context(chromium) as context:
        page = await signed_in(context, console, unique_name("customer"))
        await go_to_information_page(page, console)
        await page.evaluate(RECORD_SHOWN_RESULTS)
        await context.route("**/request/duplicates", answer_late, times=1)
        earlier, later = unique_name("earlier"), unique_name("later")
        await page.locator("#group").fill(earlier)
        await page.get_by_role("button", name="Check for Duplicates").click()
        async with asyncio.timeout(20):
            await was_requested.wait()
        await page.locator("#group").fill(later)
        async with page.expect_response("**/request/duplicates"):
            answered.set()
        # The script handles this response after the late one.
        await page.get_by_role("button", name="Check for Duplicates").click()
        await page.get_by_text(f"{later} is available").wait_for()
        shown: list[str] = await page.evaluate("window.shown")
        assert [text for text in shown if earlier in text] == []


async def test_failed_name_check_script_falls_back_to_the_page(
    console: ConsoleServer, chromium: Browser
) -> None:
    async with a_context(chromium) as context:
        page = await signed_in(context, console, unique_name("customer"))
        await go_to_information_page(page, console)
        await context.route("**/request/duplicates", blocked)
        name = unique_name("free")
        for field, typed in {
            "group": name,
            "admin_id": "admin",
            "password": PASSWORD,
            "password_again": PASSWORD,
            "company_name": "Hanbit",
            "company_phone": "02-1234-5678",
        }.items():
            await page.locator(f"#{field}").fill(typed)
        await page.get_by_role("button", name="Check for Duplicates").click()
        await page.get_by_text(f"{name} is available").wait_for()
        assert page.url.endswith("/information")


async def test_language_change_keeps_input_except_password(console: ConsoleServer, chromium: Browser) -> None:
    subscription = await console.service_env.requested()
    async with a_context(chromium) as context:
        page = await context.new_page()
        await page.goto(f"{console.url}/works/sign-in")
        account = await subscription.confirmation()
        await page.locator("#account").fill(account)
        await page.locator("#password").fill(PASSWORD)
        await page.get_by_role("button", name="한국어").click()
        assert await page.locator("html").get_attribute("lang") == "ko"
        assert await page.locator("#account").input_value() == account
        assert await page.locator("#password").input_value() == ""
        await page.locator("#password").fill(PASSWORD)
        await page.locator("#password").press("Enter")
        # The page has two forms; a language change keeps the input of both.
        await page.locator("#company_name").fill("Half")
        await page.locator("#member_id").fill("minji")
        await page.get_by_role("button", name="English").click()
        assert await page.locator("html").get_attribute("lang") == "en"
        assert await page.locator("#company_name").input_value() == "Half"
        assert await page.locator("#member_id").input_value() == "minji"


async def test_switch_form_enter_reviews_and_language_keeps_choices(
    console: ConsoleServer, chromium: Browser
) -> None:
    subscription = await console.service_env.requested()
    async with a_context(chromium) as context:
        page = await signed_in(context, console, subscription.request["customer_id"])
        await page.goto(f"{console.url}/subscriptions/{subscription.id}/switch")
        await page.locator("#members").fill("17")
        await page.locator("[name=term][value=MONTHLY]").check()
        await page.get_by_role("button", name="한국어").click()
        assert await page.locator("#members").input_value() == "17"
        assert await page.locator("[name=term][value=MONTHLY]").is_checked()
        await page.get_by_role("button", name="English").click()
        await page.locator("#members").press("Enter")
        await page.get_by_role("button", name="Switch to paid now").click()
        await page.locator(".toast").wait_for()
    status = await subscription.status()
    assert (status.state, status.members) == ("ACTIVE", 17)
    assert status.contract is not None
    assert status.contract.first_day == day_of(await subscription.clock.now())
