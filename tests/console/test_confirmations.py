"""Confirmation forms without JavaScript: a command runs only with the values that the page showed."""

from collections import Counter
from datetime import date, timedelta

import asyncpg
import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.paused_workflows import paused
from support.polling import gather_all
from support.service_env import PASSWORD, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.translation import Language, Translator
from entrypoints.console.works_admin.repository import Member, WorksAdminRepository
from subscription.business_calendar import start_of

from .test_guide import AGREED, filled_in

CHANGED = "Something has changed since the preview. Nothing was done"
TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


async def annual(console: ConsoleServer) -> SubscriptionDriver:
    subscription = await console.service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    return subscription


async def contract_end(subscription: SubscriptionDriver) -> date:
    contract = (await subscription.status()).contract
    assert contract is not None
    return contract.end_day


def hidden_field(page: httpx.Response, name: str) -> str:
    return page.text.split(f'name="{name}" value="')[-1].split('"')[0]


# -- cancel ------------------------------------------------------------------------------------------


async def test_typed_cancellation_date_is_reviewed_before_confirmation(
    console: ConsoleServer,
) -> None:
    subscription = await annual(console)
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
    reserved = (await subscription.status()).reservation
    assert reserved is not None
    assert reserved.date == later


@pytest.mark.parametrize("changed", ["date", "shown", "nothing shown", "another session's"])
async def test_unreviewed_cancellation_is_not_executed(console: ConsoleServer, changed: str) -> None:
    subscription = await annual(console)
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
    subscription = await annual(console)
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
    subscription = await annual(console)
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
    subscription = await annual(console)
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


# -- switch, upgrade, renewal, rename, withdrawal, clock ------------------------------------------------


async def test_switch_confirmation_uses_shown_prices_and_day(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    today = await subscription.today()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/switch")
        page = await submit(browser, page, "/switch", term="MONTHLY", members="2")
        assert "Switch to paid now</button>" in page.text.replace("\n", "")
        for typed in ({"members": "99"}, {"term": "ANNUAL"}, {"date": f"{today + timedelta(days=1)}"}):
            answer = await submit(browser, page, "/switch", **typed)
            assert answer.status_code == 409
            assert CHANGED in answer.text
        await subscription.send("switch_to_paid", date=f"{today + timedelta(days=4)}", term="ANNUAL")
        page = await submit(browser, page, "/switch")
        assert page.status_code == 409
        assert await subscription.events() == ["TRIAL_STARTED", "SWITCH_RESERVED"]
        assert (await submit(browser, page, "/switch")).status_code == 200
    assert (await subscription.events())[-1] == "SWITCHED_TO_PAID"


async def test_upgrade_confirmation_uses_the_shown_basis(console: ConsoleServer) -> None:
    subscription = await annual(console)
    chosen = {"review": "1", "plan": "premium", "members": "30", "term": "ANNUAL", "agreed": AGREED}
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        assert "Upgrade now</button>" in page.text.replace("\n", ""), page.text
        await subscription.send("upgrade", members=20, agreed_terms=TERMS)
        page = await submit(browser, page, "/upgrade")
        assert page.status_code == 409
        assert CHANGED in page.text
        assert (await subscription.status()).members == 20
        assert (await submit(browser, page, "/upgrade")).status_code == 200
    assert (await subscription.status()).members == 30


async def test_concurrent_confirmations_run_once(console: ConsoleServer) -> None:
    subscription = await annual(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        tabs = []
        for members in ("21", "22", "23", "24", "25", "26"):
            chosen = {"review": "1", "members": members, "term": "ANNUAL", "agreed": AGREED}
            tabs.append(await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen))
        answers = await gather_all(submit(browser, tab, "/upgrade") for tab in tabs)
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert (await subscription.events()).count("UPGRADED") == 1


async def test_choice_no_longer_possible_is_a_conflict(console: ConsoleServer) -> None:
    subscription = await annual(console)
    chosen = {"review": "1", "members": "22", "term": "ANNUAL", "agreed": AGREED}
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        await subscription.send("upgrade", members=26, agreed_terms=TERMS)
        page = await submit(browser, page, "/upgrade")
    assert page.status_code == 409
    assert CHANGED in page.text
    assert "An upgrade cannot lower the number of members" in page.text
    assert (await subscription.status()).members == 26


async def test_unshown_terms_are_not_agreed_to(console: ConsoleServer) -> None:
    subscription = await annual(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        older = ["service:2025-01", "privacy:2026-01"]
        chosen = {"review": "1", "plan": "premium", "members": "30", "term": "ANNUAL", "agreed": older}
        page = await browser.get(f"/subscriptions/{subscription.id}/upgrade", params=chosen)
        assert page.status_code == 422
        assert 'id="agreed_terms-error"' in page.text
        page = await submit(browser, await browser.get("/request"), "/product", plan="basic")
        page = await submit(browser, page, "/terms", agreed=older)
        assert page.status_code == 422


async def test_renewal_option_is_saved_as_reviewed(console: ConsoleServer) -> None:
    subscription = await annual(console)
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/renewal")
        page = await submit(browser, page, "/renewal", term="MONTHLY", plan="lite", members="5")
        await subscription.send("cancel", date=f"{await subscription.today() + timedelta(days=40)}")
        page = await submit(browser, page, "/renewal")
        assert page.status_code == 409
        assert (await subscription.status()).renewal is None


async def test_rename_requires_the_shown_current_name(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(account={"domain": f"{unique_name('shown')}.example"})
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/rename")
        held = f"{unique_name('held')}.example"
        await subscription.send("rename_account", domain=held)
        page = await submit(browser, page, "/rename", kind="GROUP", name=unique_name("mine"))
        assert page.status_code == 409
        assert CHANGED in page.text
        assert held in page.text
    assert (await subscription.events())[-1] == "RENAME_HELD"


async def test_withdrawal_applies_only_to_the_shown_reservation(console: ConsoleServer) -> None:
    subscription = await annual(console)
    today = await subscription.today()
    await subscription.send("cancel", date=f"{today + timedelta(days=40)}")
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        await subscription.send("cancel", date=f"{today + timedelta(days=50)}")
        page = await submit(browser, page, "/withdraw")
        assert page.status_code == 409
        assert CHANGED in page.text
    reserved = (await subscription.status()).reservation
    assert reserved is not None
    assert reserved.date == today + timedelta(days=50)


@pytest.mark.parametrize("action", ["/clock", "/withdraw"])
async def test_paused_subscription_refuses_in_korean_without_change(
    console: ConsoleServer, action: str
) -> None:
    subscription = await annual(console)
    await subscription.send("cancel", date=f"{await subscription.today() + timedelta(days=40)}")
    async with console.browser("ko") as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        async with paused(console.service_env.temporal, subscription.id):
            refused = await submit(browser, page, action, method="post", by="day")
        assert refused.status_code == 409
        assert "구독이 일시 중지되었으며 변경된 내용은 없습니다." in refused.text
    assert (await subscription.status()).reservation is not None


async def test_clock_button_advances_once_to_its_target(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}")
        before = await subscription.clock.now()
        for _ in range(2):
            assert (await submit(browser, page, "/clock", by="day")).status_code == 200
        assert await subscription.clock.now() < before + timedelta(days=2)
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
        answer = await submit(browser, page, "/clock", by="next")
        assert answer.status_code == 409
        assert "The clock was not moved." in answer.text


# -- the request ---------------------------------------------------------------------------------------


async def test_two_tabs_submit_their_own_requests(console: ConsoleServer) -> None:
    names = unique_name("first"), unique_name("second")
    customer = f"customer-of-{names[0]}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        first = await filled_in(browser, names[0], plan="lite", members="3")
        second = await filled_in(browser, names[1], plan="premium", members="99")
        assert ("Lite" in first.text, "Premium" in second.text) == (True, True)
        for tab in (first, second):
            assert "The free trial has started" in (await submit(browser, tab, "/check")).text
    listed = await console.service_env.client.list(customer_id=customer)
    assert {(each.plan, each.members) for each in listed} == {("lite", 3), ("premium", 99)}


async def test_draft_changed_in_other_tab_is_shown_before_submission(
    console: ConsoleServer,
) -> None:
    name = unique_name("changed")
    customer = f"customer-of-{name}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await filled_in(browser, name, plan="lite", members="3")
        other = await browser.get(page.url.path.replace("/check", "/product"))
        await submit(browser, other, "/product", plan="premium", members="99")
        page = await submit(browser, page, "/check")
        assert page.status_code == 409
        assert "The request has changed since you opened the page. Nothing was sent" in page.text
        assert await console.service_env.client.list(customer_id=customer) == []
        page = await submit(browser, page, "/check")
        assert "The free trial has started" in page.text
        again = await browser.get(str(other.url))
        assert again.url.path == page.url.path
    [listed] = await console.service_env.client.list(customer_id=customer)
    assert (listed.plan, listed.members) == ("premium", 99)


async def test_three_drafts_fit_into_proxy_header_limits(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        drafts = []
        for number in range(5):
            page = await submit(browser, await browser.get("/request"), "/product", plan="basic")
            page = await submit(browser, page, "/terms", agreed=AGREED)
            page = await submit(
                browser,
                page,
                "/information",
                group="\N{HANGUL SYLLABLE GA}" * 1000,
                domain="\N{HANGUL SYLLABLE GA}" * 1000,
                admin_id="a" * 1000,
                company_name=f"{number}" + "\N{GRINNING FACE}" * 1000,
                company_phone="0" * 1000,
                password=PASSWORD,
                password_again=PASSWORD,
            )
            assert page.status_code == 422
            drafts.append(page.url.path)
        kept = [name for name in browser.cookies if name.startswith("request-draft-")]
        assert sorted(kept) == sorted(f"request-draft-{path.split('/')[2]}" for path in drafts[2:])
        sent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert len(sent) < 8_000
        page = await browser.get(drafts[0])
        assert "Your entries are no longer stored" in page.text
        assert "\N{GRINNING FACE}" in (await browser.get(drafts[4])).text


async def test_completed_request_after_erasure_shows_current_state(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    path = f"/request/complete/{subscription.id}"
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        assert "The free trial has started." in (await browser.get(path)).text
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
        page = await browser.get(path)
        assert "The free trial has started" not in page.text
        assert "Active" in page.text
        await subscription.send("cancel", date=f"{await subscription.today()}")
        await subscription.has_closed()
        page = await browser.get(path)
        assert "The free trial has started" not in page.text
        assert "has been canceled and all data permanently deleted" in page.text


# -- typed input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["1.5", "1e3", "", "-", "0x10", "ten", "\uff11"])
@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Enter a whole number, such as 10."), ("ko", "10과 같은 정수를 입력하십시오.")],
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
    ("language", "sentence"),
    [
        ("en", "Choose a contract term for another plan or number of members."),
        ("ko", "다른 요금제나 구성원 수를 원하면 계약 기간을 선택하십시오."),
    ],
)
@pytest.mark.parametrize("chosen", [{"plan": "lite"}, {"members": "5"}, {"plan": "lite", "members": "5"}])
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


async def sign_in_again(browser: httpx.AsyncClient, subscription: SubscriptionDriver) -> None:
    await submit(browser, await browser.get("/subscriptions"), "/sign-out")
    await sign_in(browser, subscription.request["customer_id"])


@pytest.fixture(scope="module")
async def paid_subscription(console: ConsoleServer) -> SubscriptionDriver:
    return await annual(console)


@pytest.fixture(scope="module")
async def trial_subscription(console: ConsoleServer) -> SubscriptionDriver:
    return await console.service_env.requested()


# -- language change within a form ---------------------------------------------------------------------


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
            "cancel": {"date": "2031-01-31"},
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
        assert f"{Translator(Language.KO).day(later)} 해지 예약</button>" in page.text
    assert (await paid_subscription.status()).reservation is None


# -- NAVER WORKS Admin ---------------------------------------------------------------------------------


async def test_administrator_edits_the_shown_company_data(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(members=3)
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        account = await subscription.confirmation()
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        page = await submit(browser, page, "/works/members", member_id="minji", name="Minji")
        stale = page
        page = await submit(browser, page, "/works/company", company_name="First")
        again = await submit(browser, stale, "/works/company", company_name="Second")
        assert again.status_code == 409
        assert "nothing was saved. It is now: First" in again.text
        assert 'value="Second"' in again.text
        page = await submit(browser, stale, "/members/remove")
        page = await submit(browser, page, "/works/members", member_id="minji", name="Another")
        page = await submit(browser, stale, "/members/remove")
        assert "No member was removed." in page.text
        assert "Another" in page.text
        page = await submit(browser, page, "/works/members", member_id="minji", name="Again")
        assert "This ID is already in use." in page.text
        page = await submit(browser, page, "/works/members", member_id="jisu", name="Jisu")
        page = await submit(browser, page, "/works/members", member_id="hana", name="Hana")
        assert "All 3 seats are used." in page.text


async def test_concurrent_company_edits_save_once(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(members=3)
    account = await subscription.confirmation()
    names = [f"Company {number}" for number in range(8)]
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        page = await submit(browser, page, "/works/members", member_id="minji", name="Minji")
        saved = await gather_all(submit(browser, page, "/works/company", company_name=name) for name in names)
        removed = await gather_all(submit(browser, page, "/members/remove") for _ in range(8))
        shown = await browser.get("/works")
    assert Counter(answer.status_code for answer in saved) == {200: 1, 409: 7}
    done = names[[answer.status_code for answer in saved].index(200)]
    assert f'value="{done}"' in shown.text
    assert Counter(answer.status_code for answer in removed) == {200: 1, 409: 7}


async def test_repeated_company_form_is_saved_once(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        account = await subscription.confirmation()
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        for _ in range(2):
            again = await submit(browser, page, "/works/company", company_name="First")
            assert again.status_code == 200
            assert "The company information is saved." in again.text


async def test_company_update_requires_the_seen_row(console: ConsoleServer) -> None:
    """The comparison is part of the UPDATE statement, so a concurrent change is never overwritten."""
    subscription = await console.service_env.requested(members=3)
    pool = await asyncpg.create_pool(console.service_env.owner_url, min_size=1, max_size=1)
    record = WorksAdminRepository(pool)
    before = await record.company(subscription.id)
    assert before is not None
    other = before.model_copy(update={"company_name": "Other"})
    third = before.model_copy(update={"company_name": "Third", "company_address": "Seoul"})
    assert await record.set_company(subscription.id, third, seen=before)
    assert not await record.set_company(subscription.id, other, seen=before)
    assert not await record.set_company(
        subscription.id, other, seen=third.model_copy(update={"company_address": None})
    )
    assert await record.company(subscription.id) == third
    minji = Member(member_id="minji", name="Minji")
    assert await record.add_member(subscription.id, minji)
    assert not await record.remove_member(subscription.id, minji.model_copy(update={"name": "Another"}))
    assert await record.members(subscription.id) == [minji]
    await pool.close()
