"""Error pages of the console for an unavailable server."""

from dataclasses import replace

from support.console_server import ConsoleServer, run_console
from support.html_forms import sign_in
from temporalio.client import Client

from starter.client import SubscriptionClient


async def test_temporal_down_lists_work_and_detail_page_returns_503(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    unreachable = await Client.connect("127.0.0.1:1", lazy=True)
    without_temporal = replace(
        console.service_env, client=SubscriptionClient(unreachable, console.service_env.reader)
    )
    async with run_console(without_temporal) as lonely, lonely.browser("ko") as browser:
        await sign_in(browser, subscription.request["customer_id"])
        assert subscription.id[:8] in (await browser.get("/subscriptions")).text
        page = await browser.get(f"/subscriptions/{subscription.id}")
        assert page.status_code == 503
        assert "일시적으로 이용할 수 없습니다" in page.text
