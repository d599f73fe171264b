"""Bulk runs in the operators' console."""

import re

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.polling import gather_all, wait_for


async def test_operator_starts_the_bulk_run_that_was_shown(console: ConsoleServer) -> None:
    """The dry run has the sums, the start does exactly that once, and the run's page has each result."""
    env = console.service_env
    first, second = await gather_all(env.requested() for _ in range(2))
    today = await first.today()
    async with console.browser() as browser:
        await sign_in(browser, "")
        page = await browser.get("/operator/bulk/new")
        entered = {
            "command": "switch_to_paid",
            "date": f"{today}",
            "term": "ANNUAL",
            "ids": f"{first.id}, {second.id}\nmissing\nmissing",
            "rate": "50",
        }
        empty = await submit(browser, page, "/operator/bulk/new", **{**entered, "ids": ""})
        assert (empty.status_code, "Select the subscriptions" in empty.text) == (422, True)
        for rate, problem in (("0", "Enter 1 or more."), ("101", "Enter 100 or less.")):
            refused = await submit(browser, page, "/operator/bulk/new", **{**entered, "rate": rate})
            assert (refused.status_code, problem in refused.text) == (422, True)
        nothing = await submit(browser, page, "/operator/bulk/new", **{**entered, "ids": "missing"})
        assert "there is nothing to start" in nothing.text
        assert 'name="preview"' not in nothing.text
        shown = await submit(browser, page, "/operator/bulk/new", **entered)
        # Ten members at the annual price of the plan basic, 6,000, in each of two contracts.
        assert re.search(r"Monthly fees</dt><dd>₩120,000", shown.text), shown.text
        assert "<code>SUBSCRIPTION_NOT_FOUND</code>" in shown.text
        await second.send("rename_account", group=f"{second.request['account']['group']}-2")
        in_korean = await submit(browser, shown, "/operator/bulk", language="ko")
        assert (in_korean.status_code, "아직 실행되지 않았습니다." in in_korean.text) == (200, True)
        outdated = await submit(browser, shown, "/operator/bulk", language="en")
        outdated = await submit(browser, shown, "/operator/bulk")
        assert (outdated.status_code, "are not those of this dry run" in outdated.text) == (422, True)

        started = await submit(browser, outdated, "/operator/bulk")

        async def completed() -> str:
            text = (await browser.get(started.url.path)).text
            return text if "Completed" in text else ""

        page_text = await wait_for("the run is completed", completed)
        assert page_text.count('<span class="pill good">Accepted</span>') == 2
        assert started.url.path in (await browser.get("/operator/bulk")).text
        assert "Bulk runs" in (await browser.get("/operator/bulk?language=en")).text
    assert await first.events() == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]
