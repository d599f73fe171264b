"""The product guide over HTTP without a browser: every page, form and refusal (R1-R33)."""

import re
from datetime import timedelta

import httpx
from cryptography.fernet import Fernet
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.polling import gather_all
from support.service_env import PASSWORD, unique_name

from entrypoints.console.request_draft import decrypt_draft
from subscription.account import Account, AccountKind
from subscription.business_calendar import day_of

AGREED = ["service:2026-01", "privacy:2026-01"]


async def test_guide_from_request_to_erasure(console: ConsoleServer) -> None:
    name = unique_name("guide")
    async with console.browser() as browser:
        await sign_in(browser, f"customer-of-{name}")
        page = await filled_in(browser, name)
        assert "Confirm Request Details" in page.text
        assert "it@ACME.example" in page.text
        page = await submit(browser, page, "/check")
        assert "The free trial has started" in page.text, page.text
        [listed] = await console.service_env.client.list(customer_id=f"customer-of-{name}")
        path = f"/subscriptions/{listed.subscription_id}"
        page = await browser.get(f"{path}/settings")
        assert page.status_code == 200, page.text
        assert "it@acme.example" in page.text
        for action in ("switch", "cancel", "rename"):
            assert (await browser.get(f"{path}/{action}")).status_code == 200
        for action in ("renewal", "upgrade"):
            assert (await browser.get(f"{path}/{action}")).status_code == 409
        page = await browser.get(f"{path}/switch")
        page = await submit(browser, page, "/switch", term="ANNUAL")
        assert "Summary of changes" in page.text, page.text
        # One member on basic, with the guide's warning about annual contracts (R30).
        assert "<td>₩6,000</td></tr>" in page.text
        assert "you repay the annual discount and pay 10% of the fees for the remaining days" in page.text
        page = await submit(browser, page, "/switch")
        assert "a paid annual contract on Basic for 1 member" in page.text
        for action in ("renewal", "upgrade"):
            assert (await browser.get(f"{path}/{action}")).status_code == 200
        page = await submit(browser, page, "/clock", by="next")
        page = await browser.get(f"{path}/upgrade")
        page = await submit(browser, page, "/upgrade", plan="premium", members="20")
        page = await submit(browser, page, "/upgrade", agreed=AGREED)
        assert "Summary of changes" in page.text, page.text
        # 20 members on premium instead of one on basic.
        assert "<td>₩6,000</td><td>₩200,000</td>" in page.text
        page = await submit(browser, page, "/upgrade")
        assert "Upgraded to Premium for 20 members" in page.text
        page = await browser.get(f"{path}/renewal")
        page = await submit(browser, page, "/renewal", term="MONTHLY", plan="lite", members="5")
        page = await submit(browser, page, "/renewal")
        assert "The next contract will be a monthly contract on Lite for 5 members." in page.text, page.text
        page = await browser.get(f"{path}/cancel")
        today = day_of((await console.service_env.client.current_state(listed.subscription_id)).now)
        page = await submit(browser, page, "/cancel", when="DATE", date=f"{today}")
        assert "Early-termination fee" in page.text
        assert "Cancel now and delete all data" in page.text
        page = await submit(browser, page, "/cancel", method="post", confirmation="somebody")
        assert page.status_code == 422
        assert "ID@name" in page.text
        page = await submit(browser, page, "/cancel", method="post", confirmation=f"admin@{name}")
        assert "Final charges: " in page.text


async def test_double_click_creates_one_and_back_clears_password(
    console: ConsoleServer,
) -> None:
    name = unique_name("double")
    customer = f"customer-of-{name}"
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await filled_in(browser, name)
        back = await browser.get(page.url.path.replace("/check", "/information"))
        assert f'value="{name}"' in back.text
        assert PASSWORD not in back.text
        answers = await gather_all(submit(browser, page, "/check") for _ in range(3))
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert len(await console.service_env.client.list(customer_id=customer)) == 1


async def test_draft_stores_only_password_hash_until_finalized(
    console: ConsoleServer,
) -> None:
    name = unique_name("unfinished")
    async with console.browser() as browser:
        await sign_in(browser, f"customer-of-{name}")
        page = await filled_in(browser, name)
        draft_id = page.url.path.split("/")[2]
        key = await console.service_env.owner.fetchval(
            "SELECT key FROM console_sessions WHERE customer_id = $1", f"customer-of-{name}"
        )
        draft = decrypt_draft(browser.cookies, draft_id, key)
        assert draft is not None
        assert draft.group == name
        assert draft.password_hash.startswith("$argon2id$")
        assert PASSWORD not in draft.model_dump_json()
        assert decrypt_draft(browser.cookies, draft_id, Fernet.generate_key()) is None
        assert (
            await console.service_env.client.check_name(Account(kind=AccountKind.GROUP, name=name))
        ).available


async def test_early_step_redirects_to_first_unfinished_step(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        first = (await browser.get("/request")).url.path
        assert (await browser.get(first.replace("/product", "/check"))).url.path == first


async def filled_in(
    browser: httpx.AsyncClient, name: str, *, plan: str = "basic", members: str = "1"
) -> httpx.Response:
    """Fill in a request up to its fourth step."""
    page = await submit(browser, await browser.get("/request"), "/product", plan=plan, members=members)
    page = await submit(browser, page, "/terms", agreed=AGREED)
    page = await submit(
        browser,
        page,
        "/information",
        group=name,
        admin_id="admin",
        password=PASSWORD,
        password_again=PASSWORD,
        company_name="Acme Korea",
        company_phone="02-1234-5678",
        contact_email="it@ACME.example",
    )
    assert page.url.path.endswith("/check"), page.text
    return page


async def test_domain_record_from_the_page_proves_ownership(console: ConsoleServer) -> None:
    domain = f"{unique_name('verified')}.example"
    subscription = await console.service_env.requested(account={"domain": domain})
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        path = f"/subscriptions/{subscription.id}"
        page = await browser.get(path)
        assert "Use is restricted" in page.text
        assert f'href="{path}/settings#domain"' in page.text
        page = await browser.get(f"{path}/settings")
        page = await submit(browser, page, "/domain")
        assert "Record not found yet." in page.text
        [value] = set(re.findall(r"naver-works-verification=[0-9a-f]{32}", page.text))
        console.service_env.dns.publish_txt(domain, value)
        page = await submit(browser, page, "/domain")
        assert "Domain ownership is verified" in page.text
        assert "Use is restricted" not in (await browser.get(path)).text


async def test_rename_runs_once_and_refusal_keeps_input(console: ConsoleServer) -> None:
    subscription, taken = await console.service_env.requested(), await console.service_env.requested()
    async with console.browser("ko") as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/rename")
        page = await submit(browser, page, "/rename", name=taken.request["account"]["group"])
        assert page.status_code == 422
        assert "이미 사용 중인 이름입니다" in page.text
        assert f'value="{taken.request["account"]["group"]}"' in page.text
        page = await submit(browser, page, "/rename", name=unique_name("renamed"))
        assert "계정이 새 그룹 이름으로 바뀌었습니다" in page.text
        page = await browser.get(f"/subscriptions/{subscription.id}/rename")
        assert page.status_code == 409
        assert "최근에 이름을 변경했습니다" in page.text


async def test_repeated_form_runs_once(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        later = (await subscription.today() + timedelta(days=3)).isoformat()
        page = await browser.get(f"/subscriptions/{subscription.id}/switch")
        page = await submit(browser, page, "/switch", date=later)
        assert [(await submit(browser, page, "/switch")).status_code for _ in range(2)] == [200, 200]
        page = await browser.get(f"/subscriptions/{subscription.id}")
        assert [(await submit(browser, page, "/withdraw")).status_code for _ in range(2)] == [200, 200]
        assert await subscription.events() == ["TRIAL_STARTED", "SWITCH_RESERVED", "RESERVATION_WITHDRAWN"]
