"""Forms of NAVER WORKS Admin: concurrent and repeated submissions change the shown data only."""

from collections import Counter

import asyncpg
from support.console_server import ConsoleServer
from support.html_forms import submit
from support.polling import gather_all
from support.service_env import PASSWORD

from entrypoints.console.works_admin.repository import Member, WorksAdminRepository


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
        assert "All 3 seats of the trial are used." in page.text


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
    assert await record.member(subscription.id, "minji") == minji
    await pool.close()
