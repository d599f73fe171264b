"""Any byte sequence gets a status below 500 or a closed connection, and logs no traceback."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from support.encryption_keys import new_keyring
from support.html_forms import Form, forms_of, sign_in, submit
from support.http_server import http_client, served
from support.service_env import PASSWORD
from support.sizes import SIZES

from adapters.observability.health_server import WorkerHealth, serve_health
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from dev_stack.child_server import free_ports
from entrypoints.codec_server.app import codec_app
from entrypoints.codec_server.authentication import TokenAuthenticator
from entrypoints.http.protocol import HttpLimits

from .conftest import WebServer
from .mutations import Mutator
from .raw_http import random_request, single_error_requests, status_of

SHORT = HttpLimits(head_seconds=1, body_seconds=1)


async def statuses(port: int, requests: Iterable[bytes]) -> list[int | None]:
    """Return the statuses of all requests, none of which may be a server error."""
    few = asyncio.Semaphore(40)

    async def one(sent: bytes) -> int | None:
        async with few:
            status = await status_of(port, sent)
        assert status is None or status < 500 or status in (501, 503, 505), (status, sent[:300])
        return status

    return list(await asyncio.gather(*map(one, requests)))


def assert_no_fault(log: pytest.LogCaptureFixture) -> None:
    assert not [record for record in log.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "sent", ["OPTIONS * HTTP/1.1", "CONNECT a.example:443 HTTP/1.1", "GET foo HTTP/1.1", "GET ?a HTTP/1.1"]
)
async def test_non_path_target_is_a_bad_request(
    web_server: WebServer, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await status_of(web_server.port, f"{sent}\r\nHost: 127.0.0.1\r\n\r\n".encode()) == 400
    assert_no_fault(caplog)


async def test_the_api_and_the_console(web_server: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    found = await statuses(
        web_server.port,
        [
            *single_error_requests(b"/v1/subscriptions", b"/works/sign-in"),
            *(random_request(seed) for seed in range(SIZES.hostile_inputs // 20)),
        ],
    )
    assert {200, 303, 400, 401, 404, 405, 408} <= set(found)
    assert_no_fault(caplog)


async def test_the_codec_server(caplog: pytest.LogCaptureFixture) -> None:
    app = codec_app(
        AesGcmPayloadCodec(new_keyring()),
        namespace="n",
        origin="https://a.example",
        authenticator=TokenAuthenticator({}),
    )
    async with served(app, limits=SHORT) as url:
        found = await statuses(
            int(url.rpartition(":")[2]),
            [
                *single_error_requests(b"/decode"),
                *(random_request(seed) for seed in range(SIZES.hostile_inputs // 40)),
            ],
        )
    assert {400, 401, 404, 405} <= set(found)
    assert_no_fault(caplog)


async def test_the_health_server(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    [port] = free_ports(1)
    async with serve_health("127.0.0.1", port, WorkerHealth()):
        found = await statuses(
            port, [sent for sent in single_error_requests(b"/livez") if sent.count(b"\r\n\r\n") == 1]
        )
    assert {200, 400, 404} <= set(found)
    assert_no_fault(caplog)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("seed", range(SIZES.hostile_inputs // 5_000))
async def test_forms_queries_and_cookies(
    web_server: WebServer, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    mutator = Mutator(seed)
    subscription = await web_server.service_env.requested(customer_id="C-forms")
    async with http_client(web_server.url, follow_redirects=True, timeout=40) as browser:
        await sign_in(browser, "C-forms")
        page = await browser.get("/works/sign-in")
        account = f"admin@{subscription.request['account']['group']}"
        await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        for path in PAGES:
            page = await browser.get(path.format(subscription.id))
            for form in forms_of(page):
                if not form.action.endswith(("/sign-out", "/language")):
                    for _ in range(3):
                        assert (await send_form(browser, page, form, mutator)).status_code < 500
        for _ in range(40):
            query = {name: unicode(mutator) for name in ("next", "after", "state", "date")}
            path = f"/{mutator.choice_of(PLACES)}/{quote(unicode(mutator), safe='')}"
            assert (await browser.get(path, params=query)).status_code < 500
            printable = "".join(c for c in unicode(mutator) if " " <= c <= "~")
            cookies = "; ".join(f"{name}={printable}" for name in ("console", "request-draft", "language"))
            assert (
                await browser.get("/request/product", headers={"cookie": cookies.strip()})
            ).status_code < 500
    assert_no_fault(caplog)


PAGES = (
    *(
        "/works",
        "/sign-in",
        "/request/product",
        "/request/terms",
        "/request/information",
    ),
    *(
        "/subscriptions/{}",
        "/subscriptions/{}/switch",
        "/subscriptions/{}/rename",
        "/subscriptions/{}/cancel",
    ),
)
PLACES = ("request", "invoices", "subscriptions", "sign-in", "static", "request/complete", "works")


async def send_form(
    browser: httpx.AsyncClient, page: httpx.Response, form: Form, mutator: Mutator
) -> httpx.Response:
    """Send the form with one third of its fields mutated."""
    mutated = {
        name: unicode(mutator)
        for name in form.fields
        if name != "csrf_token" and mutator.choice_of((0, 0, 1))
    }
    fields: dict[str, Any] = {**form.fields, **mutated}
    if form.method == "get":
        return await browser.get(form.action, params=fields)
    sent_from = {"origin": str(browser.base_url).rstrip("/"), "referer": str(page.url)}
    return await browser.post(form.action, data=fields, headers=sent_from)


def unicode(mutator: Mutator) -> str:
    return mutator.text().encode("utf-8", "ignore").decode()


async def test_null_characters_in_the_forms_of_admin(
    web_server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with http_client(web_server.url, timeout=40) as browser:
        page = await browser.get("/works/sign-in")
        for fields in ({"account": "admin@a\0b"}, {"password": "\0"}, {"x\0": "1"}, {"account": "\0@\0"}):
            answer = await submit(browser, page, "/works/sign-in", **{"account": "a@b", **fields})
            assert answer.status_code == 400
    assert_no_fault(caplog)


@pytest.mark.parametrize("path", ["/v1/subscriptions", "/v1/nothing", "/healthz", "/sign-in", "/missing"])
async def test_responses_have_no_store_and_nosniff(web_server: WebServer, path: str) -> None:
    async with http_client(web_server.url, timeout=40) as browser:
        headers = (await browser.get(path)).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    "host", ["evil.example", "console.example.evil.example", "0.0.0.0", "10.0.0.7:80", ""]
)
async def test_console_rejects_foreign_host_names(web_server: WebServer, host: str) -> None:
    async with http_client(web_server.url, timeout=40) as browser:
        page = await browser.get("/sign-in")
        sent = {"origin": f"http://{host}", "host": host}
        fields = {**forms_of(page)[-1].fields, "as": "operator"}
        for answer in (
            await browser.get("/sign-in", headers={"host": host}),
            await browser.post("/sign-in/developer", data=fields, headers=sent),
        ):
            assert answer.status_code == 400
            assert "set-cookie" not in answer.headers


async def test_remote_client_of_a_proxy_is_not_a_developer(web_server: WebServer) -> None:
    async with http_client(web_server.url, timeout=40) as browser:
        page = await browser.get("/sign-in")
        fields = {**forms_of(page)[-1].fields, "as": "operator"}
        sent = {"origin": web_server.url, "x-forwarded-for": "203.0.113.7"}
        answer = await browser.post("/sign-in/developer", data=fields, headers=sent)
        assert answer.status_code == 404
        assert "console" not in answer.cookies
