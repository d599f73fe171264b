"""Seats (R36): NAVER WORKS Admin, previews and commands with more members than seats."""

import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD
from support.subscription_driver import SubscriptionDriver

from subscription.contract import ContractTerm
from subscription.refusals import RefusalCode, RefusalError


async def admin_page(
    browser: httpx.AsyncClient, subscription: SubscriptionDriver, members: tuple[str, ...]
) -> httpx.Response:
    """Sign in to NAVER WORKS Admin, add members in this order, and return the page."""
    page = await browser.get("/works/sign-in")
    account = await subscription.confirmation()
    page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
    for member in members:
        page = await submit(browser, page, "/works/members", member_id=member, name="Member")
        assert page.status_code == 200
    return page


async def test_members_added_last_are_locked(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested("2027-01-01 09:00", members=4)
    switch = {"date": "2027-01-03", "term": "MONTHLY", "members": 2}
    await subscription.send("switch_to_paid", at="2027-01-01 09:00", **switch)
    client, upgrade = console.service_env.client, f"/subscriptions/{subscription.id}/upgrade"
    async with console.browser() as browser:
        page = await admin_page(browser, subscription, ("zoe", "bora", "ana"))
        assert "4 of 4 seats used" in page.text
        assert "Locked" not in page.text
        full = await submit(browser, page, "/works/members", member_id="dana", name="Member")
        assert "All 4 seats of the trial are used. Switch to a paid plan" in full.text

        await subscription.advance_to("2027-01-03 00:00")  # the contract begins with two seats
        page = await browser.get("/works")
        assert "4 of 2 seats used" in page.text
        assert "Locked: 2 members, the ones added last." in page.text
        assert locked_in(page) == ["ana", "bora"]
        assert f'href="{upgrade}"' in page.text
        await sign_in(browser, subscription.request["customer_id"])
        detail = await browser.get(f"/subscriptions/{subscription.id}")
        assert "Locked: 2 members, the ones added last." in detail.text
        granted = await client.entitlements(subscription.id)
        assert (granted.seats, granted.members_in_use, granted.locked_members) == (2, 4, 2)
        full = await submit(browser, page, "/works/members", member_id="dana", name="Member")
        assert "All 2 seats are used. Upgrade to add members." in full.text

        page = await submit(browser, page, "/works/members/remove", member_id="zoe", shown=shown(page, "zoe"))
        assert "The member is removed." in page.text
        assert locked_in(page) == ["ana"]  # bora was added first
        terms = [
            term.model_dump(include={"id", "version"})
            for term in await client.required_terms(subscription.id)
        ]
        await subscription.send("upgrade", at="2027-01-03 10:00", members=3, agreed_terms=terms)
        page = await browser.get("/works")
        assert "3 of 3 seats used" in page.text
        assert locked_in(page) == []


async def test_fewer_seats_than_members_are_refused(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(members=3)
    today = f"{await subscription.today()}"
    async with console.browser() as admin, console.browser() as browser:
        await admin_page(admin, subscription, ("minji", "jisu"))
        refused = await subscription.expect_refusal("switch_to_paid", date=today, term="ANNUAL", members=2)
        assert (refused.code, refused.field) == (RefusalCode.MEMBERS_IN_USE, "members")
        assert "3 members are in use." in refused.message

        with pytest.raises(RefusalError, match="3 members are in use"):
            await console.service_env.client.quote_switch(
                subscription.id, await subscription.today(), ContractTerm.ANNUAL, members=2
            )

        await sign_in(browser, subscription.request["customer_id"])
        form = f"/subscriptions/{subscription.id}/switch?review=1&date={today}&term=ANNUAL&plan=basic"
        previewed = await browser.get(f"{form}&members=2")
        assert previewed.status_code == 422
        assert "3 members are in use." in previewed.text
        assert "In use now: 3 members." in previewed.text
        previewed = await browser.get(f"{form}&members=3")
        assert previewed.status_code == 200
        confirmed = await submit(browser, previewed, "/switch", method="post")
        assert "paid" in confirmed.text
        refused = await subscription.expect_refusal("change_renewal_option", term="ANNUAL", members=2)
        assert refused.code is RefusalCode.MEMBERS_IN_USE
        previewed = await browser.get(
            f"/subscriptions/{subscription.id}/renewal?review=1&term=ANNUAL&members=2"
        )
        assert "3 members are in use." in previewed.text


def locked_in(page: httpx.Response) -> list[str]:
    """Return the IDs of the members that the page marks as locked."""
    return [member for member, row in rows(page).items() if "Locked: no seat" in row]


def shown(page: httpx.Response, member_id: str) -> str:
    """Return the hidden digest in the removal form of a member."""
    return rows(page)[member_id].split('name="shown" value="')[1].split('"')[0]


def rows(page: httpx.Response) -> dict[str, str]:
    """Return the rows of the table of members by ID, in the order of the page."""
    entries = page.text.split('<tr><th scope="row">')[1:]
    return {entry.split("<")[0]: entry for entry in entries}
