"""The product guide, from the request to the erasure, followed literally in a browser."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.async_api import Browser
from support.browser_visitor import BrowserUser
from support.console_server import ConsoleServer
from support.service_env import PASSWORD, unique_name

from adapters.translation import Language, Translator
from subscription.business_calendar import day_of
from subscription.refusals import RefusalCode, RefusalError


@dataclass(frozen=True)
class Reader:
    """A visitor: language, JavaScript on or off, screen size, light or dark mode."""

    language: Language
    scripts: bool
    width: int
    dark: bool


READERS = {
    "english-desktop": Reader(Language.EN, scripts=True, width=1280, dark=False),
    "korean-phone-dark": Reader(Language.KO, scripts=True, width=375, dark=True),
    "english-phone-without-scripts": Reader(Language.EN, scripts=False, width=375, dark=False),
    "korean-desktop-without-scripts": Reader(Language.KO, scripts=False, width=1280, dark=False),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
async def test_the_guide(console: ConsoleServer, chromium: Browser, reader: Reader) -> None:
    context = await chromium.new_context(
        java_script_enabled=reader.scripts,
        locale=reader.language.value,
        viewport={"width": reader.width, "height": 800},
        color_scheme="dark" if reader.dark else "light",
        reduced_motion="reduce",  # the contrast is that of the finished page
    )
    context.set_default_timeout(20_000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    visitor = BrowserUser(page, console.url, Translator(reader.language), scripts=reader.scripts)
    name = unique_name("guide")
    await _signs_in(visitor, f"customer-of-{name}")
    await _requests(visitor, name)
    [listed] = await console.service_env.client.list(customer_id=f"customer-of-{name}")
    path = f"/subscriptions/{listed.subscription_id}"
    await _administrates(visitor, name)
    await _switches(visitor, path)
    await _upgrades(visitor, path)
    await _chooses_the_renewal(visitor, path)
    await _cancels(visitor, path, name, console, listed.subscription_id)
    await context.close()
    # Chromium logs the status of a refused form as an error, but refusals are expected here.
    assert [complaint for complaint in complaints if "status of 4" not in complaint] == []


async def _signs_in(visitor: BrowserUser, customer_id: str) -> None:
    await visitor.goes_to("/")
    await visitor.types(customer_id=customer_id)
    await visitor.clicks("Sign in as this customer")
    await visitor.sees("No subscription yet")


async def _requests(visitor: BrowserUser, name: str) -> None:
    page = visitor.page
    await visitor.clicks("Request Product", "link")
    await page.locator("[name=plan][value=basic]").check()
    await visitor.types(members="10")
    if not visitor.scripts:
        await visitor.clicks("Update price")
    # 10 members on basic: 10 × 6,000 a month, and 12 × 10 × 1,200 less a year than at list price.
    for amount, won in (("annual_month", 60_000), ("list_month", 72_000), ("annual_saving", 144_000)):
        place = page.locator(f"aside [data-amount={amount}]")
        assert await place.inner_text() == visitor.translator.krw(won)
    await visitor.clicks("Agree to Terms and Conditions")
    await visitor.clicks("Enter Information")
    await page.get_by_role("alert").wait_for()
    for term in ("service", "privacy"):
        await page.locator(f"[name=agreed][value^={term}]").check()
    await visitor.clicks("Enter Information")
    assert not await page.locator("#domain").is_visible()
    await page.locator("[value=DOMAIN]").check()
    assert not await page.locator("#group").is_visible()
    await page.locator("[value=GROUP]").check()
    await visitor.types(group="Bad--name", admin_id="A", password="abc12345", password_again="abc12345")
    await visitor.types(company_name="에이크미", company_phone="12")
    if visitor.scripts:
        assert await page.locator("#password-rules .broken").count() == 2
    await visitor.named("Confirm Request Details").click()
    await visitor.is_told_what_is_wrong("group", "admin_id", "password", "company_phone")
    await visitor.looks()
    assert await page.locator("#company_name").input_value() == "에이크미"
    # With scripts the passwords stay in the browser; the server never returns one.
    kept = "abc12345" if visitor.scripts else ""
    assert await page.locator("#password").input_value() == kept
    assert 'value="abc12345"' not in await page.content()
    await visitor.types(group=name, admin_id="admin", company_phone="02-1234-5678")
    await visitor.clicks("Check for Duplicates")
    await visitor.sees("%(name)s is available.", name=name)
    await _confirms_the_details(visitor)
    await visitor.clicks("Back", "link")
    assert await page.locator("#group").input_value() == name
    assert await page.locator("#password").input_value() == ""
    await _confirms_the_details(visitor)
    await visitor.named("Finalize Request").dblclick()
    await visitor.sees("Your request is complete. The free trial has started.")
    await visitor.looks()


async def _confirms_the_details(visitor: BrowserUser) -> None:
    await visitor.types(password=PASSWORD, password_again=PASSWORD)
    await visitor.named("Confirm Request Details").click()
    # The script validates the form first, so the click itself does not wait for the next page.
    await visitor.page.wait_for_url("**/check")
    await visitor.looks()


async def _administrates(visitor: BrowserUser, name: str) -> None:
    await visitor.clicks("Set Company Information", "link")
    if visitor.scripts:
        assert await visitor.page.locator("#account").input_value() == f"admin@{name}"
    await visitor.types(account=f"admin@{name}", password="Wrong4Horse")
    await visitor.clicks("Sign in")
    await visitor.sees("The account or the password is wrong.")
    await visitor.types(password=PASSWORD)
    await visitor.clicks("Sign in")
    await visitor.types(company_name="Acme 코리아", company_address="Seongnam")
    await visitor.clicks("Save")
    await visitor.sees("The company information is saved.")
    await visitor.types(member_id="minji", name="김민지")
    await visitor.clicks("Add a member")
    await visitor.sees("The member is added.")
    await visitor.page.get_by_role("button", name=visitor.gettext("Sign out")).click()
    await visitor.looks()


async def _switches(visitor: BrowserUser, path: str) -> None:
    await visitor.goes_to(path)
    reason = visitor.page.locator("#why-upgrade")
    assert await reason.inner_text()
    await visitor.clicks("Switch to Paid Product", "link")
    await visitor.clicks("Review cost")
    await visitor.clicks("Switch to paid now")
    await visitor.page.locator(".toast").wait_for()
    await visitor.page.locator("button[value=next]").click()
    await visitor.goes_to(f"{path}/billing")
    await visitor.page.locator("#charges").wait_for()
    assert await visitor.page.locator(".charges > tbody > tr:not(.math)").count() == 1
    await visitor.page.locator(".math summary").click()
    await visitor.page.get_by_role("table", name=visitor.gettext("Calculation")).wait_for()
    await visitor.looks()
    await visitor.page.locator("button[value=month]").click()
    await visitor.page.locator(".toast").wait_for()
    await visitor.goes_to("/invoices")
    assert await visitor.page.locator("tbody tr").count() == 1
    await visitor.goes_to(f"{path}/billing")


async def _upgrades(visitor: BrowserUser, path: str) -> None:
    await visitor.goes_to(path)
    await visitor.clicks("Upgrade", "link")
    assert await visitor.page.locator("[name=plan][value=lite]").count() == 0
    await visitor.clicks("Next")
    await visitor.page.get_by_role("alert").wait_for()
    await visitor.page.locator("[name=plan][value=premium]").check()
    await visitor.types(members="20")
    await visitor.clicks("Next")
    await visitor.clicks("Next")
    await visitor.page.get_by_role("alert").wait_for()
    for term in ("service", "privacy"):
        await visitor.page.locator(f"[name=agreed][value^={term}]").check()
    await visitor.clicks("Next")
    await visitor.clicks("Upgrade now")
    await visitor.page.locator(".toast").wait_for()


async def _chooses_the_renewal(visitor: BrowserUser, path: str) -> None:
    await visitor.goes_to(path)
    await visitor.clicks("Change Renewal Option", "link")
    await visitor.page.locator("[name=term][value=MONTHLY]").check()
    await visitor.page.locator("#plan").select_option("lite")
    await visitor.types(members="5")
    await visitor.clicks("Next")
    await visitor.clicks("Save the renewal option")
    await visitor.page.locator(".toast").wait_for()
    for tab in ("settings", "activity"):
        await visitor.goes_to(f"{path}/{tab}")


async def _cancels(
    visitor: BrowserUser, path: str, name: str, console: ConsoleServer, subscription_id: str
) -> None:
    page, client = visitor.page, console.service_env.client
    current_state = await client.current_state(subscription_id)
    today, contract = day_of(current_state.now), current_state.state.contract
    assert contract is not None
    later = today + timedelta(days=40)
    quoted = await client.quote_cancellation(subscription_id, later)
    assert quoted.penalty
    await visitor.goes_to(f"{path}/cancel")
    # The form defaults to the day without a charge, never to today.
    assert await page.locator("[name=when][value=END]").is_checked()
    await page.locator("[name=when][value=DATE]").check()
    await visitor.types(date=later.isoformat())
    await visitor.clicks("Review cost")
    assert await page.locator(".big-figure").inner_text() == visitor.translator.krw(quoted.penalty)
    await page.locator("summary").first.click()
    await visitor.looks()
    free = visitor.translator.day(contract.end_day)
    await page.get_by_role(
        "link", name=visitor.gettext("On %(date)s there is no cancellation fee.", date=free)
    ).click()
    await visitor.sees("No fee")
    await visitor.types(confirmation=f"somebody@{name}")
    await visitor.clicks("Cancel on %(date)s", date=free)
    await visitor.is_told_what_is_wrong("confirmation")
    await visitor.types(confirmation=f"admin@{name}")
    await visitor.clicks("Cancel on %(date)s", date=free)
    status = await client.status(subscription_id)
    assert status.reservation is not None
    assert status.reservation.date == contract.end_day
    await visitor.clicks("Withdraw the Reservation")
    assert (await client.status(subscription_id)).reservation is None
    await visitor.goes_to(f"{path}/what-if?a_change=cancel&b_change=upgrade&b_members=30")
    await visitor.clicks("Do this", "link")
    assert page.url.endswith(f"/cancel?date={today}&review=1")
    await visitor.goes_to(f"{path}/cancel")
    await page.locator("[name=when][value=NOW]").check()
    await visitor.clicks("Review cost")
    await visitor.types(confirmation=f"admin@{name}")
    await visitor.clicks("Cancel now and delete all data")
    await visitor.goes_to(path)
    while (await client.status(subscription_id)).state != "ERASED":
        await visitor.goes_to(path)
    await visitor.goes_to(path)
    await page.get_by_role("heading", level=1).get_by_text(visitor.gettext("Erased subscription")).wait_for()
    with pytest.raises(RefusalError) as refusal:
        await client.withdraw_reservation(subscription_id)
    assert refusal.value.refused.code is RefusalCode.SUBSCRIPTION_ENDED
    await visitor.goes_to("/works/sign-in")
    await visitor.types(account=f"admin@{name}", password=PASSWORD)
    await visitor.clicks("Sign in")
    await visitor.sees("The account or the password is wrong.")
