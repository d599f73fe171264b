"""Tampered and cross-site (CSRF) forms: every route, every form, both languages."""

import re
from datetime import timedelta

import httpx
import pytest
from starlette.routing import Route
from support.console_server import ConsoleServer
from support.html_forms import forms_of, sign_in, submit
from support.service_env import PASSWORD, unique_name
from support.subscription_driver import SubscriptionDriver

CHANGED = {
    "en": "Something has changed since the preview",
    "ko": "미리 보기 이후 변경된 내용이 있습니다",
}
PROOF = re.compile(r'name="csrf_token" value="([0-9a-f]{64})"')


async def sign_in_everywhere(console: ConsoleServer, browser: httpx.AsyncClient) -> SubscriptionDriver:
    """Sign in to the console and to NAVER WORKS Admin."""
    customer = unique_name("C")
    subscription = await console.annual(customer_id=customer)
    await sign_in(browser, customer)
    page = await browser.get("/works/sign-in")
    await submit(
        browser, page, "/works/sign-in", account=await subscription.confirmation(), password=PASSWORD
    )
    return subscription


def routes(console: ConsoleServer, method: str) -> list[str]:
    return [
        route.path
        for route in console.app.routes
        if isinstance(route, Route) and method in (route.methods or set())
    ]


def fill_path(path: str, subscription: SubscriptionDriver) -> str:
    named = {"draft": "x", "step": "check", "number": "INV-1", "run_id": "run-1", "action": "stop"}
    return path.format(subscription_id=subscription.id, **named)


async def test_cross_site_post_is_refused(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        subscription = await sign_in_everywhere(console, browser)
        before = await subscription.events()
        proofs = {}
        for realm, page in (("console", "/subscriptions"), ("works", "/works")):
            found = PROOF.search((await browser.get(page)).text)
            assert found is not None
            proofs[realm] = found[1]
        browser.follow_redirects = False
        for path in routes(console, "POST"):
            right = proofs["works" if path.startswith("/works") else "console"]
            wrong = proofs["console" if path.startswith("/works") else "works"]
            attempts: list[tuple[dict[str, str], dict[str, str]]] = [
                ({}, {}),
                ({"csrf_token": wrong}, {}),
                ({"csrf_token": ""}, {"origin": console.url}),
                ({"csrf_token": right}, {"origin": "https://evil.example"}),
                ({"csrf_token": right}, {"origin": "null"}),
                ({"csrf_token": right}, {"origin": console.url + ".evil.example"}),
                ({"csrf_token": right}, {"sec-fetch-site": "cross-site"}),
                ({"csrf_token": right}, {"sec-fetch-site": "same-site"}),
            ]
            for data, headers in attempts:
                answer = await browser.post(fill_path(path, subscription), data=data, headers=headers)
                assert answer.status_code == 403, (path, data, headers)
        assert (await browser.get("/subscriptions")).status_code == 200
        assert (await browser.get("/works")).status_code == 200
    assert await subscription.events() == before


async def test_responses_have_security_headers_and_no_store(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        subscription = await sign_in_everywhere(console, browser)
        browser.follow_redirects = False
        paths = [fill_path(path, subscription) for path in routes(console, "GET")]
        answers = [await browser.get(path) for path in [*paths, "/no-such-page", "/static/no-such-file"]]
        answers += [
            await browser.post("/sign-out"),
            await browser.post("/language", content=b"x" * 100_000),
            await browser.post("/language", content=b"\xff"),
            await browser.put("/subscriptions"),
            await browser.get("/sign-in", headers={"host": "evil.example"}),
            await browser.get("/sign-in?next=%00"),
        ]
        for answer in answers:
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, answer.url
            assert "base-uri 'none'" in policy, answer.url
            assert answer.headers["cache-control"] == "no-store", answer.url
            assert answer.headers["x-content-type-options"] == "nosniff", answer.url
            assert answer.headers["referrer-policy"] == "same-origin", answer.url
            for cookie in answer.headers.get_list("set-cookie"):
                assert {"HttpOnly", "Path=/"} <= set(cookie.split("; ")), cookie
                assert "SameSite=" in cookie


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_form_of_other_subscription_is_refused(console: ConsoleServer, language: str) -> None:
    customer = unique_name("C")
    shown, other = await console.annual(customer_id=customer), await console.annual(customer_id=customer)
    later = f"{await shown.today() + timedelta(days=40)}"
    before = await other.events()
    pages = {
        "cancel": (f"/cancel?review=1&date={later}", {"confirmation": await other.confirmation()}),
        "renewal": ("/renewal?review=1&term=ANNUAL", {}),
        "upgrade": (
            "/upgrade?review=1&plan=premium&members=20&term=ANNUAL"
            "&agreed=service:2026-01&agreed=privacy:2026-01",
            {},
        ),
        "rename": ("/rename", {"name": unique_name("renamed")}),
    }
    async with console.browser(language) as browser:
        await sign_in(browser, customer)
        for action, (path, typed) in pages.items():
            page = await browser.get(f"/subscriptions/{shown.id}{path}")
            [form] = [
                each for each in forms_of(page) if each.method == "post" and "command_id" in each.fields
            ]
            answer = await browser.post(
                f"/subscriptions/{other.id}/{action}",
                data={**form.fields, **typed},
                headers={"origin": console.url},
            )
            assert answer.status_code == 409, action
            assert CHANGED[language] in answer.text, action
        page = await browser.get(f"/subscriptions/{shown.id}/rename")
        for each in forms_of(page):
            if "command_id" in each.fields:
                away = {**each.fields, "name": unique_name("renamed")}
                answer = await browser.post(
                    f"/subscriptions/{other.id}/withdraw", data=away, headers={"origin": console.url}
                )
                assert answer.status_code == 409
    assert await other.events() == before
    assert (await shown.events()) == before


async def test_tampered_hidden_field_is_not_executed(console: ConsoleServer) -> None:
    """A plan, number, contract or terms that differ from the review are shown again, not executed."""
    customer = unique_name("C")
    subscription = await console.annual(customer_id=customer)
    before = await subscription.events()
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await browser.get(
            f"/subscriptions/{subscription.id}/upgrade?review=1&plan=premium&members=20&term=ANNUAL"
            "&agreed=service:2026-01&agreed=privacy:2026-01"
        )
        for tampered in (
            {"members": "2000"},
            {"plan": "basic"},
            {"agreed": "service:2026-01,privacy:2026-01,marketing:2026-01"},
            {"agreed": ""},
            {"shown": ""},
            {"shown": "0" * 64},
        ):
            answer = await submit(browser, page, "/upgrade", method="post", **tampered)
            assert answer.status_code in (409, 422), tampered
    assert await subscription.events() == before


async def test_upgrade_terms_appear_on_the_confirmation_page(console: ConsoleServer) -> None:
    """A link can lead directly to the review, so that page itself lists the terms (R3, R25)."""
    customer = unique_name("C")
    subscription = await console.annual(customer_id=customer)
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await browser.get(
            f"/subscriptions/{subscription.id}/upgrade?review=1&plan=premium&members=20&term=ANNUAL"
            "&agreed=service:2026-01&agreed=privacy:2026-01"
        )
        assert "Terms of Service (2026-01)" in page.text
        assert "Collection and Use of Personal Information (2026-01)" in page.text
        assert "Receiving News and Offers" not in page.text
        page = await browser.get(f"/subscriptions/{subscription.id}/renewal?review=1&term=ANNUAL")
        assert "(2026-01)" not in page.text


@pytest.mark.parametrize(
    "name", ["request-draft-(", "request-draft-é", "request-draft-x y", "request-draft-"]
)
async def test_foreign_cookie_of_the_domain_breaks_no_page(console: ConsoleServer, name: str) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("C"))
        cookies = f"console={browser.cookies['console']}; {name}=planted".encode()
        for path in ("/request", "/subscriptions"):
            answer = await browser.get(path, headers={b"cookie": cookies})
            assert answer.status_code == 200, path
        page = await browser.get("/subscriptions")
        found = PROOF.search(page.text)
        assert found is not None
        browser.follow_redirects = False
        ended = await browser.post(
            "/sign-out",
            data={"csrf_token": found[1]},
            headers={b"cookie": cookies, b"origin": console.url.encode()},
        )
        assert ended.status_code == 303
