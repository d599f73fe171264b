"""Steps of the request wizard: prices, passwords, a canceled draft, and the domain of the last page."""

import re

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD, unique_name

from entrypoints.console.request_draft import decrypt_draft

from .test_guide import AGREED, filled_in


async def test_updated_price_is_shown_on_the_same_page(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("C"))
        page = await browser.get("/request")
        page = await submit(browser, page, "/product", plan="basic", members="10", do="update-price")
        assert (page.status_code, page.url.path.endswith("/product")) == (200, True)
        # 10 × 6,000 and 10 × 7,200 a month; 12 × 10 × 1,200 a year less.
        estimate = page.text.split("<aside")[1].split("</aside>")[0]
        assert re.findall(r"₩[\d,]+", estimate) == ["₩0", "₩72,000", "₩60,000", "₩144,000"]
        page = await submit(browser, page, "/product", members="1001", do="update-price")
        assert page.status_code == 422
        assert 'value="1001"' in page.text
        assert page.text.count("unknown") == 4  # three plans and the estimate have no total


async def test_validation_stores_nothing_and_returns_no_password(console: ConsoleServer) -> None:
    customer = unique_name("C")
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await submit(browser, await browser.get("/request"), "/product", plan="basic")
        page = await submit(browser, page, "/terms", agreed=AGREED)
        typed = {"group": unique_name("valid"), "admin_id": "admin", "company_name": "Acme", "do": "validate"}
        typed |= {"password": PASSWORD, "password_again": PASSWORD}
        wrong = await submit(browser, page, "/information", **typed, company_phone="12")
        assert (wrong.status_code, PASSWORD in wrong.text) == (422, False)
        assert "Company phone number" in wrong.text
        differing = {**typed, "password_again": "Other4Horse"}
        wrong = await submit(browser, page, "/information", **differing, company_phone="02-1234-5678")
        assert (wrong.status_code, "match" in wrong.text) == (422, True)
        right = await submit(browser, page, "/information", **typed, company_phone="02-1234-5678")
        assert (right.status_code, right.text) == (204, "")
        key = await console.service_env.owner.fetchval(
            "SELECT key FROM console_sessions WHERE customer_id = $1", customer
        )
        draft = decrypt_draft(browser.cookies, page.url.path.split("/")[2], key)
        assert draft is not None
        assert (draft.group, draft.password_hash) == ("", "")
        unfinished = await browser.get(page.url.path.replace("/information", "/check"))
        assert unfinished.url.path == page.url.path


async def test_cancel_deletes_the_draft_only(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("C"))
        other = await filled_in(browser, unique_name("other"))
        page = await filled_in(browser, unique_name("canceled"))
        listed = await submit(browser, page, "/check", do="cancel")
        assert listed.url.path == "/subscriptions"
        assert "The request was discarded." in listed.text
        again = await browser.get(page.url.path)
        assert "Your entries are no longer stored." in again.text
        assert "The free trial has started" in (await submit(browser, other, "/check")).text


async def test_last_page_verifies_the_domain(console: ConsoleServer) -> None:
    domain = f"{unique_name('last')}.example"
    subscription = await console.service_env.requested(account={"domain": domain})
    path = f"/request/complete/{subscription.id}"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(path)
        [value] = set(re.findall(r"naver-works-verification=[0-9a-f]{32}", page.text))
        assert "Record not found yet." not in page.text
        page = await submit(browser, page, path)
        assert (page.url.path, "Record not found yet." in page.text) == (path, True)
        console.service_env.dns.publish_txt(domain, value)
        page = await submit(browser, page, path)
        assert "Domain ownership is verified" in page.text
        assert value not in page.text
    async with console.browser() as browser:
        await sign_in(browser, unique_name("C"))
        assert (await browser.get(path)).status_code == 404
