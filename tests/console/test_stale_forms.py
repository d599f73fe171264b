"""Stale forms: a command whose basis changed is not executed, and the page explains why."""

from datetime import timedelta

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import unique_name
from support.subscription_driver import SubscriptionDriver

from subscription.business_calendar import start_of

from .test_guide import filled_in

CHANGED = "Something has changed since the preview. Nothing was done"
TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


async def paid(console: ConsoleServer) -> SubscriptionDriver:
    """Create a subscription with an annual contract from today."""
    subscription = await console.service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    return subscription


async def end_sessions(console: ConsoleServer, subscription: SubscriptionDriver) -> None:
    customer = subscription.request["customer_id"]
    await console.service_env.owner.execute("DELETE FROM console_sessions WHERE customer_id = $1", customer)


async def test_expired_session_returns_to_the_form(console: ConsoleServer) -> None:
    subscription = await paid(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        later = f"{await subscription.today() + timedelta(days=40)}"
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel?review=1&date={later}")
        await end_sessions(console, subscription)
        page = await submit(
            browser, page, "/cancel", method="post", confirmation=await subscription.confirmation()
        )
        assert page.url.path == "/sign-in"
        assert "Your session expired, so your last action wasn't completed." in page.text
        who = {"customer_id": subscription.request["customer_id"], "as": "customer"}
        page = await submit(browser, page, "/sign-in/developer", **who)
        assert page.url.path == f"/subscriptions/{subscription.id}/cancel"
        assert dict(page.url.params) == {"date": later}
    assert (await subscription.status()).reservation is None


async def test_expired_administrator_session_is_reported(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        account = await subscription.confirmation()
        page = await submit(browser, page, "/works/sign-in", account=account, password="Correct4Horse")
        await console.service_env.owner.execute(
            "DELETE FROM console_sessions WHERE subscription_id = $1", subscription.id
        )
        page = await submit(browser, page, "/works/members", member_id="minji", name="Kim Minji")
        assert page.url.path == "/works/sign-in"
        assert "Your session expired" in page.text


async def test_form_of_earlier_session_is_refused_and_can_be_reopened(
    console: ConsoleServer,
) -> None:
    subscription = await paid(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        first_tab = await browser.get(f"/subscriptions/{subscription.id}/rename")
        second_tab = await browser.get("/subscriptions")
        await submit(browser, second_tab, "/sign-out")
        await sign_in(browser, subscription.request["customer_id"])
        page = await submit(browser, first_tab, "/rename", name=unique_name("renamed"))
        assert page.status_code == 403
        assert "Nothing was done." in page.text
        assert f'href="/subscriptions/{subscription.id}/rename"' in page.text
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"


async def test_changed_cost_is_shown_before_execution(
    console: ConsoleServer,
) -> None:
    subscription = await paid(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        later = f"{await subscription.today() + timedelta(days=40)}"
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel?review=1&date={later}")
        await subscription.send("upgrade", members=20, agreed_terms=TERMS)
        account = await subscription.confirmation()
        page = await submit(browser, page, "/cancel", method="post", confirmation=account)
        assert page.status_code == 409
        assert CHANGED in page.text
        assert (await subscription.status()).reservation is None
        page = await submit(browser, page, "/cancel", method="post", confirmation=account)
        assert page.status_code == 200, page.text
    reserved = (await subscription.status()).reservation
    assert reserved is not None
    assert f"{reserved.date}" == later


async def test_reservation_withdrawn_in_other_tab_is_refused(console: ConsoleServer) -> None:
    subscription = await paid(console)
    later = f"{await subscription.today() + timedelta(days=40)}"
    await subscription.send("cancel", date=later)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        tabs = [await browser.get(f"/subscriptions/{subscription.id}") for _ in range(2)]
        first, second = [await submit(browser, tab, "/withdraw") for tab in tabs]
        assert (first.status_code, second.status_code) == (200, 409)
        assert 'role="alert"' in second.text
        assert CHANGED in second.text
    assert (await subscription.events()).count("RESERVATION_WITHDRAWN") == 1


async def test_input_of_expired_session_must_be_entered_again(
    console: ConsoleServer,
) -> None:
    name = unique_name("forgotten")
    customer = f"customer-of-{name}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await filled_in(browser, name)
        await console.service_env.owner.execute(
            "DELETE FROM console_sessions WHERE customer_id = $1", customer
        )
        page = await submit(browser, page, "/check")
        page = await submit(browser, page, "/sign-in/developer", customer_id=customer, **{"as": "customer"})
        assert page.url.path.endswith("/product")
        assert "Your entries are no longer stored" in page.text
    assert await console.service_env.client.list(customer_id=customer) == []


async def test_error_pages_offer_the_language_choice(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        page = await submit(browser, await browser.get("/request"), "/product", members="0")
        assert page.status_code == 422
        page = await submit(browser, page, "/product", language="ko")
        assert page.url.path.endswith("/product")
        assert "상품 선택" in page.text


async def test_unhandled_exception_shows_an_error_page(console: ConsoleServer) -> None:
    subscription = await paid(console)
    owner = console.service_env.owner
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        await owner.execute("ALTER TABLE ledger_adjustments RENAME TO elsewhere")
        try:
            page = await browser.get(f"/subscriptions/{subscription.id}/billing")
            # A tab loads only the data that it shows.
            assert (await browser.get(f"/subscriptions/{subscription.id}")).status_code == 200
        finally:
            await owner.execute("ALTER TABLE elsewhere RENAME TO ledger_adjustments")
        assert page.status_code == 500
        assert "Something went wrong" in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_form_of_forgotten_command_is_compared_again(console: ConsoleServer) -> None:
    """After 31 days of the test clock, the command id counts as new (R22)."""
    subscription = await paid(console)
    later = await subscription.today() + timedelta(days=90)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel?review=1&date={later}")
        typed = {"confirmation": await subscription.confirmation()}
        await submit(browser, page, "/cancel", method="post", **typed)
        await subscription.send("withdraw_reservation")
        again = await submit(browser, page, "/cancel", method="post", **typed)
        assert again.url.path == f"/subscriptions/{subscription.id}"
        await subscription.advance_clock_to(start_of(await subscription.today() + timedelta(days=32)))
        again = await submit(browser, page, "/cancel", method="post", **typed)
        assert again.status_code == 409
    assert (await subscription.status()).reservation is None
