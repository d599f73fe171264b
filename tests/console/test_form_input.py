"""Input of forms: invalid values are refused, and a language change keeps the input."""

from datetime import timedelta

import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD
from support.subscription_driver import SubscriptionDriver

from adapters.translation import Language, Translator

from .test_guide import AGREED


@pytest.fixture(scope="module")
async def paid_subscription(console: ConsoleServer) -> SubscriptionDriver:
    return await console.annual()


@pytest.fixture(scope="module")
async def trial_subscription(console: ConsoleServer) -> SubscriptionDriver:
    return await console.service_env.requested()


async def sign_in_again(browser: httpx.AsyncClient, subscription: SubscriptionDriver) -> None:
    await submit(browser, await browser.get("/subscriptions"), "/sign-out")
    await sign_in(browser, subscription.request["customer_id"])


@pytest.mark.parametrize(
    ("typed", "language", "sentence"),
    [
        ("1.5", "en", "Enter a whole number, such as 10."),
        ("", "ko", "10과 같은 정수를 입력하십시오."),
    ],
)
async def test_non_integer_members_are_refused(
    console: ConsoleServer,
    paid_subscription: SubscriptionDriver,
    trial_subscription: SubscriptionDriver,
    typed: str,
    language: str,
    sentence: str,
) -> None:
    async with console.browser(language) as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        page = await submit(browser, await browser.get("/request"), "/product", members=typed)
        assert (page.status_code, sentence in page.text) == (422, True)
        for action in ("upgrade", "renewal"):
            page = await browser.get(f"/subscriptions/{paid_subscription.id}/{action}")
            page = await submit(browser, page, f"/{action}", members=typed)
            optional = action == "renewal" and typed == ""
            assert (page.status_code, sentence in page.text) == ((200, False) if optional else (422, True))
        await sign_in_again(browser, trial_subscription)
        page = await browser.get(f"/subscriptions/{trial_subscription.id}/switch")
        page = await submit(browser, page, "/switch", members=typed)
        assert (page.status_code, sentence in page.text) == (422, True)


@pytest.mark.parametrize("typed", ["0", "-1", "-99999999999999999999999"])
async def test_members_below_minimum_are_refused(
    console: ConsoleServer, paid_subscription: SubscriptionDriver, typed: str
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        page = await submit(browser, await browser.get("/request"), "/product", members=typed)
        assert (page.status_code, "Enter 1 or more." in page.text) == (422, True)
        page = await browser.get(f"/subscriptions/{paid_subscription.id}/renewal")
        page = await submit(browser, page, "/renewal", term="ANNUAL", members=typed)
        assert (page.status_code, "Enter 1 or more." in page.text) == (422, True)


@pytest.mark.parametrize(
    ("chosen", "language", "sentence"),
    [
        ({"plan": "lite"}, "en", "Choose a contract term for another plan or number of members."),
        ({"members": "5"}, "ko", "다른 요금제나 구성원 수를 원하면 계약 기간을 선택하십시오."),
    ],
)
async def test_clearing_renewal_option_with_values_is_refused(
    console: ConsoleServer,
    paid_subscription: SubscriptionDriver,
    chosen: dict[str, str],
    language: str,
    sentence: str,
) -> None:
    async with console.browser(language) as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{paid_subscription.id}/renewal")
        page = await submit(browser, page, "/renewal", term="NONE", **chosen)
        assert (page.status_code, sentence in page.text) == (422, True)


async def test_members_above_maximum_are_refused(
    console: ConsoleServer, paid_subscription: SubscriptionDriver
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        for typed in ("1000000000000", "9" * 25):
            for action in ("upgrade", "renewal"):
                page = await browser.get(f"/subscriptions/{paid_subscription.id}/{action}")
                page = await submit(browser, page, f"/{action}", members=typed, term="ANNUAL")
                assert page.status_code == 422
                assert "There can be at most 100,000 members." in page.text
                assert typed in page.text
            page = await submit(browser, await browser.get("/request"), "/product", members=typed)
            assert (page.status_code, "whole number" in page.text) == (422, False)


async def test_language_change_keeps_input(
    console: ConsoleServer, paid_subscription: SubscriptionDriver, trial_subscription: SubscriptionDriver
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        page = await submit(
            browser, await browser.get("/request"), "/product", plan="premium", members="7x", language="ko"
        )
        assert 'lang="ko"' in page.text
        assert 'value="7x"' in page.text
        page = await submit(browser, page, "/product", members="7")
        page = await submit(browser, page, "/terms", agreed=AGREED[:1], language="en")
        assert page.url.path.endswith("/terms")
        assert page.text.count("checked") == 1
        page = await submit(browser, page, "/terms", agreed=AGREED)
        typed = {"group": "Half-typ", "admin_id": "adm", "company_name": "에이크미", "password": PASSWORD}
        page = await submit(browser, page, "/information", **typed, language="ko")
        assert [name for name, value in typed.items() if f'value="{value}"' not in page.text] == ["password"]
        for action, fields in {
            "upgrade": {"plan": "premium", "members": "12"},
            "renewal": {"term": "MONTHLY", "members": "13"},
            "cancel": {"when": "DATE", "date": "2031-01-31"},
            "rename": {"name": "half-typ"},
        }.items():
            page = await browser.get(f"/subscriptions/{paid_subscription.id}/{action}")
            language = "en" if 'lang="ko"' in page.text[:200] else "ko"
            page = await submit(browser, page, f"/{action}", **fields, language=language)
            assert f'<html lang="{language}"' in page.text
            assert page.url.path == f"/subscriptions/{paid_subscription.id}/{action}"
            assert 'role="alert"' not in page.text
            assert f'value="{fields.get("members") or fields.get("date") or fields.get("name")}"' in page.text
    assert (await paid_subscription.events())[-1] == "SWITCHED_TO_PAID"


async def test_language_change_keeps_confirmation_without_cancelling(
    console: ConsoleServer, paid_subscription: SubscriptionDriver
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, paid_subscription.request["customer_id"])
        account = await paid_subscription.confirmation()
        later = await paid_subscription.today() + timedelta(days=40)
        page = await browser.get(f"/subscriptions/{paid_subscription.id}/cancel?review=1&date={later}")
        page = await submit(browser, page, "/cancel", method="post", confirmation=account, language="ko")
        assert f'value="{account}"' in page.text
        assert f"{Translator(Language.KO).day(later)}에 해지</button>" in page.text
    assert (await paid_subscription.status()).reservation is None
