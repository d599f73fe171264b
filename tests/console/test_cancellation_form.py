"""Cancellation form: dates and quote, review, confirmation."""

from datetime import date, timedelta

import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.subscription_driver import SubscriptionDriver

from adapters.translation import Language, Translator
from subscription.business_calendar import start_of

CHANGED = "Something has changed since the preview. Nothing was done"


async def contract_end(subscription: SubscriptionDriver) -> date:
    contract = (await subscription.status()).contract
    assert contract is not None
    return contract.end_day


def hidden_field(page: httpx.Response, name: str) -> str:
    return page.text.split(f'name="{name}" value="')[-1].split('"')[0]


async def test_typed_cancellation_date_is_reviewed_before_confirmation(
    console: ConsoleServer,
) -> None:
    subscription = await console.annual()
    later = await subscription.today() + timedelta(days=40)
    quoted = await console.service_env.client.quote_cancellation(subscription.id, later)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel")
        assert 'name="confirmation"' not in page.text
        page = await submit(browser, page, "/cancel", date=f"{later}")
        assert f"Cancellation fee: {Translator(Language.EN).krw(quoted.penalty)} " in page.text
        assert f"Schedule cancellation for {Translator(Language.EN).day(later)}</button>" in page.text
        page = await submit(
            browser, page, "/cancel", method="post", confirmation=await subscription.confirmation()
        )
        assert page.status_code == 200, page.text
        # The message is shown once, and never as a success.
        assert '<div class="toast" role="status">' in page.text
        assert 'class="toast' not in (await browser.get(page.url.path)).text
    reserved = (await subscription.status()).reservation
    assert reserved is not None
    assert reserved.date == later


@pytest.mark.parametrize("changed", ["date", "shown", "nothing shown", "another session's"])
async def test_unreviewed_cancellation_is_not_executed(console: ConsoleServer, changed: str) -> None:
    subscription = await console.annual()
    today = await subscription.today()
    async with console.browser() as browser, console.browser() as other:
        await sign_in(browser, subscription.request["customer_id"])
        review = f"/subscriptions/{subscription.id}/cancel?review=1&date={today + timedelta(days=40)}"
        page = await browser.get(review)
        typed = {
            "date": {"date": f"{today}"},
            "shown": {"shown": "0" * 64},
            "nothing shown": {"shown": ""},
            "another session's": {"shown": hidden_field(page, "shown")},
        }[changed]
        if changed == "another session's":
            await sign_in(other, subscription.request["customer_id"])
            browser, page = other, await other.get(review)
        page = await submit(
            browser, page, "/cancel", method="post", confirmation=await subscription.confirmation(), **typed
        )
        assert page.status_code == 409
        assert CHANGED in page.text
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"
    assert (await subscription.status()).reservation is None


async def test_no_date_is_preselected(console: ConsoleServer) -> None:
    subscription = await console.annual()
    today, end = await subscription.today(), await contract_end(subscription)
    path = f"/subscriptions/{subscription.id}/cancel"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        assert f'value="{end}"' in (await browser.get(path)).text
        page = await browser.get(f"{path}?date={today}")
        assert f'value="{today}"' not in page.text
        later = today + timedelta(days=40)
        await subscription.send("cancel", date=f"{later}")
        page = await browser.get(path)
        assert f'value="{later}"' in page.text
        assert "Another date replaces it." in page.text
        page = await browser.get(f"{path}?review=1&date={today}")
        assert "Cancel now and delete all data</button>" in page.text
    trial = await console.service_env.requested()
    async with console.browser("ko") as browser:
        await sign_in(browser, trial.request["customer_id"])
        page = await browser.get(f"/subscriptions/{trial.id}/cancel")
        assert 'name="date" type="date" value=""' in page.text
        page = await submit(browser, page, "/cancel")
        assert page.status_code == 422
        page = await submit(browser, page, "/cancel", date=f"{await trial.today()}")
        assert "지금 해지하고 모든 데이터 삭제</button>" in page.text


async def test_sign_in_returns_to_the_form_not_the_confirmation(console: ConsoleServer) -> None:
    subscription = await console.annual()
    today, end = await subscription.today(), await contract_end(subscription)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel?review=1&date={today}")
        await console.service_env.owner.execute(
            "DELETE FROM console_sessions WHERE customer_id = $1", subscription.request["customer_id"]
        )
        page = await submit(
            browser, page, "/cancel", method="post", confirmation=await subscription.confirmation()
        )
        who = {"customer_id": subscription.request["customer_id"], "as": "customer"}
        page = await submit(browser, page, "/sign-in/developer", **who)
        assert page.url.path == f"/subscriptions/{subscription.id}/cancel"
        assert 'name="confirmation"' not in page.text
        assert f'value="{end}"' in page.text
        assert f'value="{today}"' not in page.text
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"


async def test_date_blocked_by_reserved_switch_is_refused_at_review(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    today = await subscription.today()
    await subscription.send("switch_to_paid", date=f"{today + timedelta(days=5)}", term="ANNUAL")
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel")
        assert "Until you withdraw it you can cancel today, but not on a later date." in page.text
        page = await submit(browser, page, "/cancel", date=f"{today + timedelta(days=3)}")
        assert page.status_code == 422
        assert "A switch to paid is reserved for" in page.text
        assert "No cancellation fee" not in page.text
        page = await submit(browser, page, "/cancel", date=f"{today}")
        assert "No cancellation fee on this date." in page.text


async def test_fee_free_day_page_shows_tomorrows_charge(console: ConsoleServer) -> None:
    subscription = await console.annual()
    end = await contract_end(subscription)
    await subscription.send("change_renewal_option", term="ANNUAL")
    await subscription.advance_clock_to(start_of(end) + timedelta(hours=9))
    tomorrow = await console.service_env.client.quote_cancellation(subscription.id, end + timedelta(days=1))
    assert tomorrow.penalty
    costs = Translator(Language.EN).krw(tomorrow.penalty)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel")
        assert f"there is no cancellation fee. From tomorrow on it is {costs}." in page.text
        assert "the day after the contract period" not in page.text
        assert 'name="date" type="date" value=""' in page.text
        page = await submit(browser, page, "/cancel", date=f"{end}")
        assert "No cancellation fee on this date." in page.text
        assert f"There is no cancellation fee today. From tomorrow on it is {costs}." in page.text
