"""Metrics of the HTTP API and the console: real requests, then a scrape as by Prometheus."""

import asyncio
import json

import httpx
from support.api_client import ApiServer, open_api_server
from support.api_process import api_process
from support.html_forms import submit
from support.http_server import bind, http_client, serve_app
from support.markdown_pages import page, tables
from support.observability import Scraped, scraped
from support.polling import wait_for
from support.service_env import ServiceEnv

from adapters.postgres.pool import create_pool
from adapters.settings import HostPort
from dev_stack.child_server import free_ports
from entrypoints.api.app import create_app
from entrypoints.api.rate_limits import RateLimits
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.metrics import HttpMetrics, metrics_served

REQUESTS = "worksub_http_requests_total"


async def metrics_of(metrics: HttpMetrics) -> Scraped:
    address = HostPort("127.0.0.1", free_ports(1)[0])
    async with metrics_served(address, "a test", metrics):
        return await scraped(f"http://{address}/metrics")


async def test_requests_are_counted_by_route_template_and_status_class(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env) as api_server:
        visitor = await api_server.visitor("C-counted")
        subscription_id = await visitor.requests(service_env)
        await visitor.gets(f"/subscriptions/{subscription_id}")
        await visitor.gets("/subscriptions/another", 404)
        for path in ("/v1/nowhere", "/v1/nowhere/else", f"/v1/{subscription_id}/x"):
            await visitor.http.get(path)
        await visitor.http.request("BREW", "/v1/coffee")
        found = await metrics_of(api_server.service.metrics)
    one = "/v1/subscriptions/{subscription_id}"
    assert found.value(REQUESTS, server="api", route="/v1/subscriptions", method="POST", status="2xx") == 1
    assert found.value(REQUESTS, server="api", route=one, method="GET", status="2xx") == 1
    assert found.value(REQUESTS, server="api", route=one, method="GET", status="4xx") == 1
    assert found.value(REQUESTS, server="api", route="unknown") == 4
    assert found.values(REQUESTS, by="method").keys() == {"POST", "GET", "other"}
    assert found.value("worksub_http_request_seconds_count", server="api", route=one) == 2
    assert subscription_id not in found.text
    assert "C-counted" not in found.text


async def test_refused_keys_and_rate_limits_are_counted(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env, rates=RateLimits("2/minute", "100/minute")) as api_server:
        anonymous, guessing = await api_server.with_token(None), await api_server.with_token("wsk_guess")
        visitor = await api_server.visitor("C-limited")
        for caller, statuses in ((anonymous, [401]), (guessing, [401, 401]), (visitor, [200, 200, 429])):
            for status in statuses:
                await caller.gets("/catalogue", status)
        found = await metrics_of(api_server.service.metrics)
    refusals = found.values("worksub_sign_in_refusals_total", by="code", server="api")
    assert {code: count for code, count in refusals.items() if count} == {
        "CREDENTIALS_MISSING": 1,
        "CREDENTIALS_UNKNOWN": 2,
    }
    assert refusals["ISSUER_UNREACHABLE"] == 0, "every code has a series from the start"
    assert found.values("worksub_http_rate_limited_total", by="server") == {"api": 1, "console": 0}


async def test_open_event_streams_are_counted(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env) as api_server:
        visitor = await api_server.visitor("C-streams")
        subscription_id = await visitor.requests(service_env)
        path = f"/v1/subscriptions/{subscription_id}/events"
        async with visitor.http.stream("GET", path) as one, visitor.http.stream("GET", path) as two:
            streams = [one.aiter_bytes(), two.aiter_bytes()]  # an abandoned stream is closed
            await asyncio.gather(*map(anext, streams))
            assert (await metrics_of(api_server.service.metrics)).value("worksub_http_streams") == 2

        async def are_closed() -> bool:
            return (await metrics_of(api_server.service.metrics)).value("worksub_http_streams") == 0

        await wait_for("the streams are closed", are_closed)


async def test_console_pages_are_counted_separately(service_env: ServiceEnv, api_server: ApiServer) -> None:
    with bind("localhost") as place:
        settings = ConsoleSettings(url=place.url, developer_sign_in=True)
        async with (
            create_pool(service_env.api_url, "worksub_console", connections=2) as pool,
            serve_app(
                create_app(
                    api_server.service,
                    create_console(service_env.client, pool, api_server.service.exports, settings),
                ),
                place,
            ),
            http_client(place.url) as browser,
        ):
            await _visit_pages(browser)
    found = await metrics_of(api_server.service.metrics)
    pages = found.values(REQUESTS, by="route", server="console")
    assert pages == {"/sign-in": 1, "/sign-in/developer": 1, "unknown": 1, "/static": 1}
    assert found.value("worksub_sign_in_refusals_total", server="console", code="CUSTOMER_ID_INVALID") == 1


async def _visit_pages(browser: httpx.AsyncClient) -> None:
    sign_in = await browser.get("/sign-in")
    refused = await submit(browser, sign_in, "/sign-in/developer", customer_id="- -", **{"as": "customer"})
    assert refused.status_code == 422
    await browser.get("/no/such/page")
    await browser.get("/static/console.css")


async def test_issuer_outage_warns_and_keeps_readiness(
    service_env: ServiceEnv,
) -> None:
    port, metrics, anonymous = free_ports(3)
    settings = {
        "WORKSUB_API_METRICS_ADDRESS": f"127.0.0.1:{metrics}",
        "WORKSUB_OIDC_ISSUER": f"http://127.0.0.1:{anonymous}",
        "WORKSUB_OIDC_CLIENT_ID": "console",
        "WORKSUB_OIDC_CLIENT_SECRET": "a secret of the console",
    }
    async with api_process(service_env, port, settings), http_client() as http:

        async def is_down() -> bool:
            found = await scraped(f"http://127.0.0.1:{metrics}/metrics")
            return found.value("worksub_issuer_reachable") == 0

        await wait_for("the issuer has been checked", is_down)
        ready = await http.get(f"http://127.0.0.1:{port}/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {
                "status": "ok",
                "checks": {"temporal": "ok", "postgresql": "ok"},
                "warnings": {"issuer": "no response (ConnectError)"},
            },
        )
        assert (await http.get(f"http://localhost:{port}/metrics")).status_code == 404


async def test_docs_list_every_http_metric(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env) as api_server:
        await (await api_server.visitor("C-documented")).gets("/catalogue")
        api_server.service.metrics.issuer_gauge()
        found = await metrics_of(api_server.service.metrics)
    [table] = [each for each in tables(page("docs/monitoring.md")) if each.header[0] == "metric of HTTP"]
    assert {row[0]: (row[1], set(row[2].replace("`", "").split(", ")) - {""}) for row in table.rows} == {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in found.families.values()
    }
    shown = json.dumps(json.loads(page("ops/grafana/worksub.json")))
    assert [name for name in found.families if name not in shown] == []
