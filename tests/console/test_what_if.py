"""Tests of the page What if: it tries changes and changes nothing."""

import re

from support.console_server import ConsoleServer
from support.html_forms import sign_in


async def test_what_if_compares_two_alternatives_and_changes_nothing(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(members=10)
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today}", term="MONTHLY")
    events = await subscription.events()
    page = f"/subscriptions/{subscription.id}/what-if"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        plain = await browser.get(page)
        assert "Alternative 1</th>" not in plain.text

        tried = await browser.get(
            page,
            params={"a_change": "upgrade", "a_members": "20", "b_change": "cancel", "b_date": f"{today}"},
        )
        assert tried.status_code == 200
        text = " ".join(re.sub("<[^>]*>", " ", tried.text).split())
        # A whole month: ten members at the list price of 7,200, twenty members, nothing after the end.
        assert "₩72,000 ₩144,000 ₩0" in text

        refused = await browser.get(page, params={"a_change": "upgrade", "a_members": "5"})
        assert refused.status_code == 422
        assert 'href="#a_members"' in refused.text
        wrong = await browser.get(page, params={"b_change": "cancel", "b_date": "tomorrow"})
        assert wrong.status_code == 422
        assert 'href="#b_date"' in wrong.text
    assert await subscription.events() == events
