"""Sign-in, sign-out and CSRF tokens, with a real OpenID Connect provider and real cookies."""

import json
import signal
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from support.console_server import ConsoleServer, run_console
from support.html_forms import sign_in, submit
from support.service_env import ServiceEnv, unique_name

from adapters.postgres.pool import create_pool
from dev_stack.child_server import ChildProcess, DirectoryLock, free_ports, port_is_free
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings, OidcSettings
from starter.exports import SubscriptionExports


@pytest.fixture(scope="session")
async def issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Run a provider in a separate process, to keep its libraries out of this one."""
    directory, [port] = tmp_path_factory.mktemp("issuer"), free_ports(1)
    people = [
        {"sub": "minji", "customer_id": "C-77", "name": "Minji"},
        {"sub": "olga", "groups": ["worksub-operators"], "name": "Olga"},
        {"sub": "nobody", "name": "Nobody"},
    ]

    async def answers() -> bool:
        return not port_is_free(port)

    async with DirectoryLock(directory) as lock:
        process = await ChildProcess.start(
            "The issuer",
            [
                *(sys.executable, "-m", "oidc_provider_mock", f"--port={port}", "--require-nonce=true"),
                *(f"--user-claims={json.dumps(claims)}" for claims in people),
            ],
            log=directory / "issuer.log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
        try:
            await process.wait_until(answers)
            yield f"http://127.0.0.1:{port}"
        finally:
            await process.stop()


def with_issuer(issuer: str) -> ConsoleSettings:
    return ConsoleSettings(url="", oidc=OidcSettings(issuer, "console", "a secret of the console"))


@pytest.mark.parametrize(("person", "sees"), [("minji", "C-77</span>"), ("olga", "All subscriptions")])
async def test_issuer_claims_identify_the_user(
    service_env: ServiceEnv, issuer: str, person: str, sees: str
) -> None:
    async with run_console(service_env, with_issuer(issuer)) as console, console.browser() as browser:
        wanted = "/subscriptions" if person == "minji" else "/operator"
        assert (await browser.get(wanted)).url.path == "/sign-in"
        away = await browser.get(f"/sign-in/issuer?next={wanted}")
        query = away.url.params
        assert query["code_challenge_method"] == "S256"
        assert query["state"]
        assert query["nonce"]
        back = await browser.post(str(away.url), data={"sub": person})
        assert back.url.path == wanted
        assert sees in back.text
        assert (await browser.post("/sign-in/developer", data={})).status_code == 403


async def test_account_without_customer_cannot_sign_in(service_env: ServiceEnv, issuer: str) -> None:
    async with run_console(service_env, with_issuer(issuer)) as console, console.browser() as browser:
        away = await browser.get("/sign-in/issuer")
        back = await browser.post(str(away.url), data={"sub": "nobody"})
        assert back.status_code == 403
        assert "belongs to no customer" in back.text
        assert (await browser.get("/subscriptions")).url.path == "/sign-in"


async def test_unsolicited_issuer_response_is_refused(service_env: ServiceEnv, issuer: str) -> None:
    async with (
        run_console(service_env, with_issuer(issuer)) as console,
        console.browser() as attacker,
        console.browser() as victim,
    ):
        away = await attacker.get("/sign-in/issuer")
        redirected = await attacker.post(str(away.url), data={"sub": "minji"}, follow_redirects=False)
        stolen = redirected.headers["location"]
        assert (await victim.get(stolen)).status_code == 403
        await victim.get("/sign-in/issuer")
        assert (await victim.get(stolen)).status_code == 403
        assert (await victim.get("/subscriptions")).url.path == "/sign-in"


async def test_sign_in_is_disabled_without_issuer_or_embedded_stack(service_env: ServiceEnv) -> None:
    async with run_console(service_env, ConsoleSettings(url="")) as console, console.browser() as browser:
        page = await browser.get("/sign-in")
        assert "No sign-in method" in page.text
        assert "/sign-in/developer" not in page.text
        assert (await browser.get("/sign-in/issuer")).status_code == 404
        subscription = await service_env.requested()
        assert (await browser.post(f"/subscriptions/{subscription.id}/clock")).status_code == 404
        assert (await browser.get("/design")).status_code == 404


async def test_sign_out_invalidates_a_stolen_cookie(console: ConsoleServer) -> None:
    async with console.browser() as browser, console.browser() as thief:
        await sign_in(browser, unique_name("customer"))
        thief.cookies.set("console", browser.cookies["console"])
        assert (await thief.get("/subscriptions")).url.path == "/subscriptions"
        await submit(browser, await browser.get("/subscriptions"), "/sign-out")
        assert (await browser.get("/subscriptions")).url.path == "/sign-in"
        assert (await thief.get("/subscriptions")).url.path == "/sign-in"


@pytest.mark.parametrize(
    "column", ["seen_at = seen_at - interval '31 minutes'", "created_at = created_at - interval '13 hours'"]
)
async def test_sessions_expire_when_idle_and_after_a_day(console: ConsoleServer, column: str) -> None:
    customer = unique_name("customer")
    async with console.browser() as browser:
        await sign_in(browser, customer)
        await console.service_env.owner.execute(
            f"UPDATE console_sessions SET {column} WHERE customer_id = $1", customer
        )
        assert (await browser.get("/subscriptions")).url.path == "/sign-in"


async def test_sign_in_changes_the_session_cookie(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await browser.get("/sign-in")
        before = browser.cookies["console"]
        await sign_in(browser, unique_name("customer"))
        assert browser.cookies["console"] != before


async def test_second_sign_in_ends_the_previous_session(console: ConsoleServer) -> None:
    async with console.browser() as browser, console.browser() as thief:
        await sign_in(browser, unique_name("customer"))
        thief.cookies.set("console", browser.cookies["console"])
        page = await browser.get("/subscriptions")
        proof = page.text.split('name="csrf_token" value="')[1].split('"')[0]
        who = {"customer_id": unique_name("customer"), "as": "customer", "csrf_token": proof}
        again = await browser.post("/sign-in/developer", data=who, headers={"origin": console.url})
        assert who["customer_id"] in again.text
        assert (await thief.get("/subscriptions")).url.path == "/sign-in"


async def test_cross_site_form_is_refused(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        page = await browser.get("/subscriptions")
        proof = page.text.split('name="csrf_token" value="')[1].split('"')[0]
        refused = [
            await browser.post("/sign-out", data={}),
            await browser.post("/sign-out", data={"csrf_token": "0" * 64}),
            await browser.post(
                "/sign-out", data={"csrf_token": proof}, headers={"origin": "https://evil.example"}
            ),
            await browser.post(
                "/sign-out", data={"csrf_token": proof}, headers={"sec-fetch-site": "cross-site"}
            ),
        ]
        assert [each.status_code for each in refused] == [403, 403, 403, 403]
        assert (await browser.get("/subscriptions")).url.path == "/subscriptions"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aLocation:x\r\n", "x"]
)
async def test_return_address_allows_no_open_redirect(console: ConsoleServer, elsewhere: str) -> None:
    async with console.browser() as browser:
        sign_in_page = await browser.get("/sign-in", params={"next": elsewhere})
        no_such_page = await browser.get("/no-such-page")
        browser.follow_redirects = False
        chosen = await submit(browser, no_such_page, "/language", next=elsewhere, language="en")
        assert chosen.headers["location"] == "/"
        who = {"customer_id": "C-1", "as": "customer"}
        arrived = await submit(browser, sign_in_page, "/sign-in/developer", next=elsewhere, **who)
        assert arrived.headers["location"] == "/"


async def test_headers_and_cookies_have_security_attributes(
    console: ConsoleServer, service_env: ServiceEnv
) -> None:
    async with console.browser() as browser:
        answer = await browser.get("/sign-in")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert " style=" not in answer.text
        assert "<script>" not in answer.text
    settings = ConsoleSettings(url="https://console.example")
    async with create_pool(service_env.api_url, "worksub_console", connections=1) as pool:
        transport = httpx.ASGITransport(
            create_console(service_env.client, pool, SubscriptionExports(pool), settings)
        )
        async with httpx.AsyncClient(transport=transport, base_url=settings.url) as safe:
            answer = await safe.get("/sign-in")
    assert answer.headers["strict-transport-security"]
    assert answer.headers["set-cookie"].startswith("__Host-console=")
    assert "Secure" in answer.headers["set-cookie"]


async def test_developer_console_rejects_foreign_host_names(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        assert (await browser.get("/sign-in", headers={"host": "rebound.example"})).status_code == 400
        own_address = console.url.replace("localhost", "127.0.0.1")
        browser.base_url = httpx.URL(own_address)
        await sign_in(browser, unique_name("customer"))
        assert (await browser.get("/subscriptions")).url.path == "/subscriptions"


async def test_oversized_body_is_refused_before_it_is_read(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        assert (await browser.post("/language", content=b"x=" + b"y" * 100_000)).status_code == 413
        assert (await browser.post("/language", content=b"\xff\xfe")).status_code == 400
