"""Feedback in a real browser: busy buttons, forms that are sent once, confirmed downloads and copies."""

from playwright.async_api import Browser, expect
from support.console_server import ConsoleServer
from support.service_env import unique_name

from browser.test_confirmations import a_context, signed_in

_CLICK_ONE_THEN_THE_OTHER = """() => {
  const [first, second] = document.querySelectorAll("button[name=as]");
  first.click();
  second.click();
  return [first.getAttribute("aria-busy"), document.getElementById("live").textContent];
}"""


async def test_form_is_busy_and_is_sent_once(console: ConsoleServer, chromium: Browser) -> None:
    """The form of the developer sign-in has two buttons; without the script, the last click would count."""
    async with a_context(chromium) as context:
        page = await context.new_page()
        await page.goto(f"{console.url}/sign-in")
        assert await page.evaluate(_CLICK_ONE_THEN_THE_OTHER) == ["true", "Working…"]
        await page.wait_for_url("**/subscriptions")


async def test_export_and_copy_confirm_their_end(console: ConsoleServer, chromium: Browser) -> None:
    subscription = await console.service_env.requested(account={"domain": f"{unique_name('d')}.example"})
    async with a_context(chromium) as context:
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = await signed_in(context, console, subscription.request["customer_id"])
        await page.goto(f"{console.url}/subscriptions/{subscription.id}/settings")
        copy = page.locator("[data-copy]").first
        await copy.click()
        await expect(copy).to_contain_text("Copied")
        await expect(page.locator("#live")).to_have_text("Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == await page.locator(f"#{await copy.get_attribute('data-copy')}").inner_text()
        await page.goto(f"{console.url}/subscriptions/{subscription.id}/cancel")
        export = page.locator("[data-download] button").first
        async with page.expect_download() as download:
            await export.click(no_wait_after=True)
        assert (await download.value).suggested_filename.endswith(".zip")
        await expect(export).to_have_text("Exported")
        assert await export.get_attribute("aria-busy") is None
