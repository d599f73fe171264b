"""Confirmation forms without JavaScript: a command runs only with the values that the page showed."""

from datetime import timedelta

import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.paused_workflows import paused
from support.polling import gather_all
from support.service_env import unique_name

from .test_guide import AGREED

CHANGED = "Something has changed since the preview. Nothing was done"
TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


async def test_switch_confirmation_uses_shown_prices_and_day(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    today = await subscription.today()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/switch")
        page = await submit(browser, page, "/switch", term="MONTHLY", members="2")
        assert "Switch to paid now</button>" in page.text.replace("\n", "")
        for typed in ({"members": "99"}, {"term": "ANNUAL"}, {"date": f"{today + timedelta(days=1)}"}):
            answer = await submit(browser, page, "/switch", **typed)
            assert answer.status_code == 409
            assert CHANGED in answer.text
        await subscription.send("switch_to_paid", date=f"{today + timedelta(days=4)}", term="ANNUAL")
        page = await submit(browser, page, "/switch")
        assert page.status_code == 409
        assert await subscription.events() == ["TRIAL_STARTED", "SWITCH_RESERVED"]
        assert (await submit(browser, page, "/switch")).status_code == 200
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"


async def test_upgrade_confirmation_uses_the_shown_basis(console: ConsoleServer) -> None:
    subscription = await console.annual()
    chosen = {"review": "1", "plan": "premium", "members": "30", "term": "ANNUAL", "agreed": AGREED}
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        assert "Upgrade now</button>" in page.text.replace("\n", ""), page.text
        await subscription.send("upgrade", members=20, agreed_terms=TERMS)
        page = await submit(browser, page, "/upgrade")
        assert page.status_code == 409
        assert CHANGED in page.text
        assert (await subscription.status()).members == 20
        assert (await submit(browser, page, "/upgrade")).status_code == 200
    assert (await subscription.status()).members == 30


async def test_concurrent_confirmations_run_once(console: ConsoleServer) -> None:
    subscription = await console.annual()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        tabs = []
        for members in ("21", "22", "23", "24", "25", "26"):
            chosen = {"review": "1", "members": members, "term": "ANNUAL", "agreed": AGREED}
            tabs.append(await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen))
        answers = await gather_all(submit(browser, tab, "/upgrade") for tab in tabs)
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert (await subscription.events()).count("UPGRADED") == 1


async def test_choice_no_longer_possible_is_a_conflict(console: ConsoleServer) -> None:
    subscription = await console.annual()
    chosen = {"review": "1", "members": "22", "term": "ANNUAL", "agreed": AGREED}
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        await subscription.send("upgrade", members=26, agreed_terms=TERMS)
        page = await submit(browser, page, "/upgrade")
    assert page.status_code == 409
    assert CHANGED in page.text
    assert "An upgrade cannot lower the number of members" in page.text
    assert (await subscription.status()).members == 26


async def test_unshown_terms_are_not_agreed_to(console: ConsoleServer) -> None:
    subscription = await console.annual()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        older = ["service:2025-01", "privacy:2026-01"]
        chosen = {"review": "1", "plan": "premium", "members": "30", "term": "ANNUAL", "agreed": older}
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        assert page.status_code == 422
        assert 'id="agreed_terms-error"' in page.text
        page = await submit(browser, await browser.get("/request"), "/product", plan="basic")
        page = await submit(browser, page, "/terms", agreed=older)
        assert page.status_code == 422


async def test_renewal_option_is_saved_as_reviewed(console: ConsoleServer) -> None:
    subscription = await console.annual()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/renewal")
        page = await submit(browser, page, "/renewal", term="MONTHLY", plan="lite", members="5")
        await subscription.send("cancel", date=f"{await subscription.today() + timedelta(days=40)}")
        page = await submit(browser, page, "/renewal")
        assert page.status_code == 409
        assert (await subscription.status()).renewal is None


async def test_rename_requires_the_shown_current_name(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(account={"domain": f"{unique_name('shown')}.example"})
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/rename")
        held = f"{unique_name('held')}.example"
        await subscription.send("rename_account", domain=held)
        page = await submit(browser, page, "/rename", kind="GROUP", name=unique_name("mine"))
        assert page.status_code == 409
        assert CHANGED in page.text
        assert held in page.text
    assert (await subscription.events())[-1] == "RENAME_HELD"


async def test_withdrawal_applies_only_to_the_shown_reservation(console: ConsoleServer) -> None:
    subscription = await console.annual()
    today = await subscription.today()
    await subscription.send("cancel", date=f"{today + timedelta(days=40)}")
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        await subscription.send("cancel", date=f"{today + timedelta(days=50)}")
        page = await submit(browser, page, "/withdraw")
        assert page.status_code == 409
        assert CHANGED in page.text
    reserved = (await subscription.status()).reservation
    assert reserved is not None
    assert reserved.date == today + timedelta(days=50)


@pytest.mark.parametrize("action", ["/clock", "/withdraw"])
async def test_paused_subscription_refuses_in_korean_without_change(
    console: ConsoleServer, action: str
) -> None:
    subscription = await console.annual()
    await subscription.send("cancel", date=f"{await subscription.today() + timedelta(days=40)}")
    async with console.browser("ko") as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        async with paused(console.service_env.temporal, subscription.id):
            refused = await submit(browser, page, action, method="post", by="day")
        assert refused.status_code == 409
        assert "구독이 일시 중지되었으며 변경된 내용은 없습니다." in refused.text
    assert (await subscription.status()).reservation is not None


async def test_clock_button_advances_once_to_its_target(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/activity")
        before = await subscription.clock.now()
        for _ in range(2):
            answer = await submit(browser, page, "/clock", by="day")
            assert (answer.status_code, answer.url.path) == (200, page.url.path)
        assert await subscription.clock.now() < before + timedelta(days=2)
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
        answer = await submit(browser, page, "/clock", by="next")
        assert answer.status_code == 409
        assert "The clock was not moved." in answer.text
