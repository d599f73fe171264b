"""The activity list of a subscription names who issued each command."""

from datetime import timedelta

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit


async def test_requested_changes_exclude_automatic_events(console: ConsoleServer) -> None:
    subscription = await console.annual()
    await subscription.advance_clock_to(await subscription.clock.now() + timedelta(days=32))
    path = f"/subscriptions/{subscription.id}/activity"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        everything, requested = await browser.get(path), await browser.get(f"{path}?show=requested")
    for page, fees in ((everything, True), (requested, False)):
        assert "Switched to a paid annual contract" in page.text
        assert ("Service fees for the days before" in page.text) is fees
        assert (">Automatic</td>" in page.text) is fees


async def test_activity_names_users_to_customers_and_operators(console: ConsoleServer) -> None:
    subscription = await console.annual()
    path = f"/subscriptions/{subscription.id}"
    async with console.browser() as browser, console.browser("ko") as operator:
        await sign_in(browser, subscription.request["customer_id"])
        later = await subscription.today() + timedelta(days=40)
        page = await browser.get(f"{path}/cancel?review=1&date={later}")
        account = await subscription.confirmation()
        await submit(browser, page, "/cancel", method="post", confirmation=account)
        page = await browser.get(f"{path}/activity")
        assert '<td class="soft by" data-label="Done by">developer · Console</td>' in page.text
        assert '<td class="soft by" data-label="Done by">NAVER WORKS support</td>' in page.text
        assert "Temporal" not in page.text
        await sign_in(operator, "")
        await submit(operator, await operator.get(path), "/withdraw")
        page = await operator.get(f"{path}/activity")
        assert "developer · 콘솔" in page.text
        assert "NAVER WORKS 고객 지원, Temporal" in page.text
