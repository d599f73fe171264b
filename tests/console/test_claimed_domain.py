"""Two customers claim one domain. One verifies it, and the other learns nothing about that customer (R12)."""

import httpx
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import PASSWORD, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.password_hashing import hashed
from starter.queries import SubscriptionQueries

OTHER_PASSWORD = "Winner4Horse"
WINNER = {
    "admin_id": "admin",
    "company_name": "Hanbit Trading",
    "company_phone": "+82 2-987-6543",
    "contact_email": "it@hanbit.example",
}


async def rivals(console: ConsoleServer) -> tuple[SubscriptionDriver, SubscriptionDriver, str]:
    """Return two subscriptions of two customers with the same account, and its domain."""
    domain = f"{unique_name('claimed')}.example"
    loser = await console.service_env.requested(account={"domain": domain})
    winner = await console.service_env.requested(
        account={"domain": domain}, password_hash=hashed(OTHER_PASSWORD), **WINNER
    )
    return loser, winner, domain


async def verify(console: ConsoleServer, subscription: SubscriptionDriver) -> str:
    """Publish the record and check the domain; return the token."""
    [proof] = (await subscription.status()).proofs
    await subscription.client.settle(subscription.id)
    console.service_env.dns.publish_txt(proof.txt_name, proof.txt_value)
    answer = await subscription.send("check_domain")
    assert [entry.event for entry in answer.events] == ["DOMAIN_CONFIRMED"]
    return proof.txt_value.partition("=")[2]


async def works_page(browser: httpx.AsyncClient, account: str, password: str) -> httpx.Response:
    page = await browser.get("/works/sign-in")
    return await submit(browser, page, "/works/sign-in", account=account, password=password)


async def test_r12_password_tells_administrators_of_a_domain_apart(console: ConsoleServer) -> None:
    loser, winner, domain = await rivals(console)
    account = f"admin@{domain}"
    async with console.browser() as one, console.browser() as other, console.browser() as guess:
        page = await works_page(one, account, PASSWORD)
        assert "Use is restricted" in page.text
        assert "Acme Korea" in page.text
        page = await works_page(other, account, OTHER_PASSWORD)
        assert "Use is restricted" in page.text
        assert "Hanbit Trading" in page.text
        assert (await works_page(guess, account, "Wrong4Horse")).status_code == 403

        await verify(console, winner)
        await loser.send("check_domain")
        page = await one.get("/works")
        assert page.status_code == 403
        assert "verified elsewhere first" in page.text
    async with console.browser() as one, console.browser() as other:
        page = await works_page(one, account, PASSWORD)
        assert page.status_code == 403
        assert "verified elsewhere first" in page.text
        page = await works_page(other, account, OTHER_PASSWORD)
        assert "Use is restricted" not in page.text
        assert "Hanbit Trading" in page.text


async def test_r12_name_that_a_rename_waits_for_is_no_account(console: ConsoleServer) -> None:
    domain = f"{unique_name('waiting')}.example"
    subscription = await console.service_env.requested()
    await subscription.send("rename_account", domain=domain)
    async with console.browser() as browser:
        assert (await works_page(browser, f"admin@{domain}", PASSWORD)).status_code == 403


async def test_r12_loser_sees_no_trace_of_the_winner(console: ConsoleServer) -> None:
    """Every page, answer and row of the loser is searched, before and after it learns of the loss."""
    loser, winner, domain = await rivals(console)
    customer = loser.request["customer_id"]
    winners = winner.request
    token = await verify(console, winner)
    secrets = [winner.id, winners["request_id"], winners["customer_id"], token, OTHER_PASSWORD]
    secrets += ["Hanbit", "+8229876543", "it@hanbit.example"]
    own = SubscriptionQueries(console.service_env.reader, customer)
    seen: list[str] = []

    async def look(browser: httpx.AsyncClient) -> None:
        today = f"{await loser.today()}"
        one = f"/subscriptions/{loser.id}"
        for path in (
            *("/", "/subscriptions", one, f"{one}/activity", f"{one}/notices", f"{one}/settings"),
            *(f"{one}/rename", f"{one}/contact-email"),
            f"{one}/switch?review=1&date={today}&term=ANNUAL",
            *(f"{one}/renewal", f"{one}/upgrade", f"{one}/cancel", f"/request/complete/{loser.id}"),
        ):
            page = await browser.get(path)
            assert page.status_code < 500
            seen.append(page.text)
        async with console.browser() as administrator:
            seen.append((await works_page(administrator, f"admin@{domain}", PASSWORD)).text)
        seen.extend(f"{entry!r}" for entry in await own.timeline(loser.id))
        seen.extend(f"{event!r}" for event in await own.history(loser.id))
        seen.append(f"{await own.status(loser.id)!r} {await own.snapshot(loser.id)!r}")
        seen.append(f"{await own.meant_by(f'admin@{domain}')} {await own.meant_by(domain)}")

    async with console.browser() as browser:
        await sign_in(browser, customer)
        await look(browser)
        page = await submit(browser, await browser.get(f"/subscriptions/{loser.id}/settings"), "/domain")
        seen.append(page.text)
        assert "verified elsewhere first" in page.text
        await look(browser)
        page = await browser.get(f"/subscriptions/{loser.id}/rename")
        page = await submit(browser, page, "/rename", kind="DOMAIN", name=domain)
        seen.append(page.text)
    tables = await console.service_env.owner.fetch(
        """
        SELECT row_to_json(found)::text AS text FROM lifecycle_events AS found WHERE subscription_id = $1
         UNION ALL SELECT row_to_json(found)::text FROM command_answers AS found WHERE subscription_id = $1
         UNION ALL SELECT row_to_json(found)::text FROM event_private_data AS found
                    WHERE subscription_id = $1
         UNION ALL SELECT row_to_json(found)::text FROM notice_emails AS found WHERE subscription_id = $1
        """,
        loser.id,
    )
    seen.extend(row["text"] for row in tables)
    seen.extend(f"{event}" for event in await loser.whole_history())
    assert len(seen) > 30
    assert [secret for secret in secrets for text in seen if secret in text] == []
