"""The API reference in a real browser: no external requests, strict content security policy."""

from playwright.async_api import Browser
from support.api_client import open_api_server
from support.service_env import ServiceEnv


async def test_description_renders_without_external_requests(
    service_env: ServiceEnv, chromium: Browser
) -> None:
    async with open_api_server(service_env) as api_server:
        context = await chromium.new_context()
        page = await context.new_page()
        requested_urls: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requested_urls.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{api_server.url}/docs")
        operation = page.get_by_text("Quote a cancellation, a switch or an upgrade")
        await operation.click()
        await page.get_by_text("A quote changes nothing").wait_for()
        await context.close()
    assert complaints == []
    assert [url for url in requested_urls if not url.startswith((api_server.url, "data:"))] == []
