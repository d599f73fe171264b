"""Cancellation form: dates and quote, review, confirmation."""

import re
from datetime import date, timedelta

import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import forms_of, sign_in, submit
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
        page = await submit(browser, page, "/cancel", when="DATE", date=f"{later}")
        assert f'big-figure">{Translator(Language.EN).krw(quoted.penalty)}</p>' in page.text
        assert f"Cancel on {Translator(Language.EN).day(later)}</button>" in page.text
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


def preselected(page: httpx.Response) -> tuple[str, str]:
    """Return the checked choice of the form, and the value of its date field."""
    [form] = [form for form in forms_of(page) if "date" in form.fields and form.method == "get"]
    return str(form.fields.get("when", "")), str(form.fields["date"])


async def test_today_is_never_preselected(console: ConsoleServer) -> None:
    subscription = await console.annual()
    today = await subscription.today()
    later = today + timedelta(days=40)
    path = f"/subscriptions/{subscription.id}/cancel"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        for query in ("", f"?date={today}", "?when=NOW", f"?when=END&date={later}"):
            assert preselected(await browser.get(path + query)) == ("END", "")
        assert preselected(await browser.get(f"{path}?date={later}")) == ("DATE", f"{later}")
        assert preselected(await browser.get(f"{path}?when=DATE&date=")) == ("DATE", "")
        await subscription.send("cancel", date=f"{later}")
        page = await browser.get(path)
        assert preselected(page) == ("DATE", f"{later}")
        assert "Another date replaces it." in page.text
        page = await browser.get(f"{path}?review=1&date={today}")
        assert "Cancel now and delete all data</button>" in page.text
    trial = await console.service_env.requested()
    async with console.browser("ko") as browser:
        await sign_in(browser, trial.request["customer_id"])
        page = await browser.get(f"/subscriptions/{trial.id}/cancel")
        assert preselected(page) == ("DATE", "")
        page = await submit(browser, page, "/cancel")
        assert page.status_code == 422
        page = await submit(browser, page, "/cancel", when="NOW")
        assert "지금 해지하고 모든 데이터 삭제</button>" in page.text


async def test_choice_decides_over_the_date_field(console: ConsoleServer) -> None:
    subscription = await console.annual()
    end, path = await contract_end(subscription), f"/subscriptions/{subscription.id}/cancel"
    later = await subscription.today() + timedelta(days=40)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(path)
        shown = await submit(browser, page, "/cancel", when="END", date=f"{later}")
        assert hidden_field(shown, "date") == f"{end}"
        assert 'big-figure">No fee</p>' in shown.text
        trial = await console.service_env.requested(customer_id=subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{trial.id}/cancel?review=1&when=END")
        assert page.status_code == 422


async def test_review_shows_the_parts_of_the_fee_and_vat(console: ConsoleServer) -> None:
    """The example of R30, on Lite for ten members: 36,000 and 18,000; all service fees are charged."""
    subscription = await console.service_env.paid("2027-01-01 00:00", term="ANNUAL", plan="lite", members=10)
    await subscription.advance_to("2027-07-01 00:00")
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/cancel?review=1&when=NOW")
    text = " ".join(re.sub("<[^>]*>", " ", page.text).split())
    assert "₩36,000 Repayment of the annual discount + ₩18,000 Early-termination fee (10%)" in text
    assert (
        "Jan 1, 2027 \N{EN DASH} Jan 31, 2027 31/31 days × 10 members × (3,600 \N{MINUS SIGN} 3,000) 6,000"
        in text
    )
    assert "Sum × 10% 18,000 Rounded down ₩18,000" in text
    assert "Cancellation fee ₩54,000 Service fees Not charged yet, up to the cancellation date ₩0" in text
    assert "Total before VAT ₩54,000 VAT ₩5,400 Total with VAT ₩59,400" in text


async def test_sign_in_returns_to_the_form_not_the_confirmation(console: ConsoleServer) -> None:
    subscription = await console.annual()
    today = await subscription.today()
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
        assert preselected(page) == ("END", "")
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
        page = await submit(browser, page, "/cancel", when="NOW")
        assert 'big-figure">No fee</p>' in page.text


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
        assert f"From tomorrow on the fee is {costs}." in page.text
        assert preselected(page) == ("DATE", "")
        page = await submit(browser, page, "/cancel", when="NOW")
        assert 'big-figure">No fee</p>' in page.text
        assert f"From tomorrow on the fee is {costs}." in page.text
