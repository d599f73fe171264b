"""Drafts of the request form: several tabs, changes, size, and the page after the request."""

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD, unique_name

from .test_guide import AGREED, filled_in


async def test_two_tabs_submit_their_own_requests(console: ConsoleServer) -> None:
    names = unique_name("first"), unique_name("second")
    customer = f"customer-of-{names[0]}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        first = await filled_in(browser, names[0], plan="lite", members="3")
        second = await filled_in(browser, names[1], plan="premium", members="99")
        assert ("Lite" in first.text, "Premium" in second.text) == (True, True)
        for tab in (first, second):
            assert "The free trial has started" in (await submit(browser, tab, "/check")).text
    listed = await console.service_env.client.list(customer_id=customer)
    assert {(each.plan, each.members) for each in listed} == {("lite", 3), ("premium", 99)}


async def test_draft_changed_in_other_tab_is_shown_before_submission(
    console: ConsoleServer,
) -> None:
    name = unique_name("changed")
    customer = f"customer-of-{name}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await filled_in(browser, name, plan="lite", members="3")
        other = await browser.get(page.url.path.replace("/check", "/product"))
        await submit(browser, other, "/product", plan="premium", members="99")
        page = await submit(browser, page, "/check")
        assert page.status_code == 409
        assert "The request has changed since you opened the page. Nothing was sent" in page.text
        assert await console.service_env.client.list(customer_id=customer) == []
        page = await submit(browser, page, "/check")
        assert "The free trial has started" in page.text
        again = await browser.get(str(other.url))
        assert again.url.path == page.url.path
    [listed] = await console.service_env.client.list(customer_id=customer)
    assert (listed.plan, listed.members) == ("premium", 99)


async def test_three_drafts_fit_into_proxy_header_limits(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        drafts = []
        for number in range(5):
            page = await submit(browser, await browser.get("/request"), "/product", plan="basic")
            page = await submit(browser, page, "/terms", agreed=AGREED)
            page = await submit(
                browser,
                page,
                "/information",
                group="\N{HANGUL SYLLABLE GA}" * 1000,
                domain="\N{HANGUL SYLLABLE GA}" * 1000,
                admin_id="a" * 1000,
                company_name=f"{number}" + "\N{GRINNING FACE}" * 1000,
                company_phone="0" * 1000,
                password=PASSWORD,
                password_again=PASSWORD,
            )
            assert page.status_code == 422
            drafts.append(page.url.path)
        kept = [name for name in browser.cookies if name.startswith("request-draft-")]
        assert sorted(kept) == sorted(f"request-draft-{path.split('/')[2]}" for path in drafts[2:])
        sent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert len(sent) < 8_000
        page = await browser.get(drafts[0])
        assert "Your entries are no longer stored" in page.text
        assert "\N{GRINNING FACE}" in (await browser.get(drafts[4])).text


async def test_completed_request_after_erasure_shows_current_state(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    path = f"/request/complete/{subscription.id}"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        assert "The free trial has started." in (await browser.get(path)).text
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
        page = await browser.get(path)
        assert "The free trial has started" not in page.text
        assert "Active" in page.text
        await subscription.send("cancel", date=f"{await subscription.today()}")
        await subscription.has_closed()
        page = await browser.get(path)
        assert "The free trial has started" not in page.text
        assert "has been canceled and all data permanently deleted" in page.text
