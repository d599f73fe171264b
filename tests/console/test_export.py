"""The export in the console and in NAVER WORKS Admin: its button, and the time of the last one (R37)."""

import io
import json
import zipfile
from datetime import timedelta

import httpx
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD

from adapters.translation import Language, Translator


def exported_id(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    [row] = json.loads(zipfile.ZipFile(io.BytesIO(answer.content)).read("subscription.json"))
    return str(row["subscription_id"])


async def last_export(console: ConsoleServer, subscription_id: str, language: Language = Language.EN) -> str:
    taken_at = (await console.service_env.client.recorded_state(subscription_id)).last_export_at
    assert taken_at is not None
    return Translator(language).moment(taken_at)


async def test_r37_last_export_is_shown_where_a_cancellation_is_confirmed(console: ConsoleServer) -> None:
    subscription = await console.annual()
    cancel = f"/subscriptions/{subscription.id}/cancel"
    review = f"{cancel}?review=1&date={await subscription.today() + timedelta(days=40)}"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        for path in (f"/subscriptions/{subscription.id}", cancel, review):
            page = await browser.get(path)
            assert "Last export: never" in page.text, path
        # An export between the review and the confirmation does not invalidate the confirmation.
        assert exported_id(await submit(browser, page, "/export")) == subscription.id
        shown = await last_export(console, subscription.id)
        for path in (f"/subscriptions/{subscription.id}", cancel, review):
            assert f"Last export: {shown}" in (await browser.get(path)).text, path
        account = await subscription.confirmation()
        page = await submit(browser, page, "/cancel", method="post", confirmation=account)
        assert page.status_code == 200, page.text
    async with console.browser("ko") as browser:
        await sign_in(browser, subscription.request["customer_id"])
        shown = await last_export(console, subscription.id, Language.KO)
        assert f"마지막 내보내기: {shown}" in (await browser.get(cancel)).text


async def test_r37_administrator_exports_the_own_subscription(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    account = f"admin@{subscription.request['account']['group']}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        assert "Last export: never" in page.text
        assert exported_id(await submit(browser, page, "/works/export")) == subscription.id
        assert (
            f"Last export: {await last_export(console, subscription.id)}"
            in (await browser.get("/works")).text
        )


async def test_r37_erased_subscription_has_no_export(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        await submit(browser, page, "/export")
        await subscription.send("cancel", date=f"{await subscription.today()}")
        await subscription.has_closed()
        refused = await submit(browser, page, "/export")
        assert refused.status_code == 410
        assert "Nothing is left to export" in refused.text
        # Without settings, their address leads to the overview.
        page = await browser.get(f"/subscriptions/{subscription.id}/settings")
        assert page.url.path == f"/subscriptions/{subscription.id}"
        assert "Export all data" not in page.text
        assert "Times of exports" in page.text
