"""NAVER WORKS Admin: it requires access, and its data is erased with the subscription (R31)."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from asyncpg import NotNullViolationError, RestrictViolationError, UniqueViolationError
from support.console_server import ConsoleServer, run_console
from support.html_forms import submit
from support.polling import wait_for
from support.service_env import PASSWORD, PASSWORD_HASH, unique_name

from adapters.password_hashing import PasswordHashing
from entrypoints.console.works_admin.login_throttle import Throttle


async def test_wrong_password_and_unknown_account_look_alike(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    account = subscription.request["account"]["group"]
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        wrong = await submit(
            browser, page, "/works/sign-in", account=f"admin@{account}", password="Wrong4Horse"
        )
        unknown = await submit(
            browser, page, "/works/sign-in", account="admin@nobody", password="Wrong4Horse"
        )
        assert wrong.status_code == unknown.status_code == 403
        own_id, other_id = wrong.headers["x-request-id"], unknown.headers["x-request-id"]
        assert wrong.text.replace(account, "nobody").replace(own_id, other_id) == unknown.text
        assert f"WRONG_PASSWORD · {other_id}" in unknown.text


async def test_throttled_account_shows_the_remaining_wait(console: ConsoleServer) -> None:
    account = f"admin@{unique_name('guessed')}"
    owner, window = (
        console.service_env.owner,
        "UPDATE sign_in_attempts SET started_at = started_at - $1::interval",
    )
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        typed = [account, account.upper(), account, account, account, account, account]
        tried = [
            await submit(browser, page, "/works/sign-in", account=entered, password="Wrong4Horse")
            for entered in typed
        ]
        assert [answer.status_code for answer in tried] == [403, 403, 403, 403, 403, 429, 429]
        assert "Try again in 15 minutes." in tried[-1].text
        await owner.execute(window, timedelta(minutes=11))
        throttled = await submit(browser, page, "/works/sign-in", account=account, password="Wrong4Horse")
        assert "Try again in 4 minutes." in throttled.text
        assert 180 < int(throttled.headers["retry-after"]) <= 240
        await owner.execute(window, timedelta(minutes=4))
        again = await submit(browser, page, "/works/sign-in", account=account, password="Wrong4Horse")
        assert again.status_code == 403


async def test_guesses_are_limited_per_address_and_per_account(console: ConsoleServer) -> None:
    """30 guesses from one address at any accounts, and 50 at one account from any addresses."""
    throttle, address, account = Throttle(console.service_env.owner), unique_name("address"), unique_name("a")

    async def guesses(pairs: Iterable[tuple[str, str]]) -> int:
        """Return the number of guesses that are not refused."""
        return [await throttle.count(*pair) for pair in pairs].count(None)

    assert await guesses((f"{account}-{number}", address) for number in range(32)) == 30
    assert await guesses((account, f"{address}-{number}") for number in range(52)) == 50
    # A guess that the limit of its account refuses does not count for its address.
    assert await guesses((account, unique) for unique in [f"{address}-new"] * 31) == 0
    assert await guesses([("other", f"{address}-new")]) == 1


@pytest.mark.parametrize("account", ["", "admin", "@acme", "admin@"])
async def test_incomplete_sign_in_is_explained_and_not_counted(console: ConsoleServer, account: str) -> None:
    counted = "SELECT coalesce(sum(attempts), 0) FROM sign_in_attempts"
    before = await console.service_env.owner.fetchval(counted)
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password="")
    assert page.status_code == 422
    assert page.text.count("Enter the account as ID@name, for example admin@acme.") == 2
    assert page.text.count("Enter the password.") == 2
    assert await console.service_env.owner.fetchval(counted) == before


async def test_administrator_renames_with_the_form_of_the_console(console: ConsoleServer) -> None:
    subscription, other = await console.service_env.requested(), await console.service_env.requested()
    account, name = await subscription.confirmation(), unique_name("renamed")
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        form = await browser.get("/works/rename")
        taken = other.request["account"]["group"]
        page = await submit(browser, form, "/works/rename", name=taken)
        assert (page.status_code, f'value="{taken}"' in page.text) == (422, True)
        page = await submit(browser, page, "/works/rename", name=name)
        assert page.url.path == "/works"
        assert "The account is renamed" in page.text
        again = await submit(browser, form, "/works/rename", name=unique_name("stale"))
        assert again.status_code == 409
        assert (await browser.get("/works/rename")).status_code == 409
    assert await subscription.confirmation() == f"admin@{name}"
    renamed = (await console.service_env.client.timeline(subscription.id))[-1]
    assert renamed.by == account
    assert (await other.events()) == ["TRIAL_STARTED"]


async def test_concurrent_guesses_check_at_most_five_passwords(console: ConsoleServer) -> None:
    account = f"admin@{unique_name('guessed')}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        answers = await asyncio.gather(
            *(
                submit(browser, page, "/works/sign-in", account=account, password=f"Wrong{number}Horse")
                for number in range(60)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {403: 5, 429: 55}


async def test_hashing_overload_returns_retry_and_counts_nothing(
    console: ConsoleServer,
) -> None:
    subscription = await console.service_env.requested()
    account = f"admin@{subscription.request['account']['group']}"
    no_waiting = PasswordHashing(threads=1, waiting=-1)
    async with run_console(console.service_env, hashing=no_waiting) as busy, busy.browser() as browser:
        for _ in range(7):
            page = await browser.get("/works/sign-in")
            page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
            assert (page.status_code, page.headers["retry-after"]) == (503, "5")
            assert "Too busy" in page.text
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        assert page.url.path == "/works"


async def test_correct_password_is_not_counted(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    account = f"admin@{subscription.request['account']['group']}"
    for _ in range(7):
        async with console.browser() as browser:
            page = await browser.get("/works/sign-in")
            page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
            assert page.url.path == "/works"


async def test_stored_hash_of_other_cost_is_not_computed(
    console: ConsoleServer, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = await console.service_env.requested()
    # Allocating its 2 GiB would end this process.
    costly = PASSWORD_HASH.replace("m=19456,t=2", "m=2097152,t=4000000000")
    await console.service_env.owner.execute(
        "UPDATE administrators SET password_hash = $2 WHERE subscription_id = $1", subscription.id, costly
    )
    account = f"admin@{subscription.request['account']['group']}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
    assert page.status_code == 403
    assert "A stored password hash was refused." in caplog.messages
    assert costly not in caplog.text


async def test_concurrent_member_additions_respect_the_seats(
    console: ConsoleServer, stack_directory: Path
) -> None:
    subscription = await console.service_env.requested(members=4)
    account = f"admin@{subscription.request['account']['group']}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        ids = [unique_name("canary.member") for _ in range(12)]
        answers = await asyncio.gather(
            *(submit(browser, page, "/works/members", member_id=id, name="Minji") for id in ids)
        )
        assert Counter(answer.status_code for answer in answers) == {200: 3, 422: 9}
        in_use = await console.service_env.owner.fetch(
            "SELECT member_id FROM members WHERE subscription_id = $1", subscription.id
        )
        assert len(in_use) == 3
        page = await browser.get("/works")
        await submit(browser, page, "/works/members/remove", member_id=in_use[0]["member_id"])
        again = await submit(browser, page, "/works/members", member_id=in_use[1]["member_id"], name="Jiwoo")
        assert again.status_code == 422
    # The server's own log outlives an erasure.
    log = (stack_directory / "postgres" / "postgres.log").read_text()
    assert "canary.member" not in log


async def test_postgresql_log_omits_refused_values(console: ConsoleServer, stack_directory: Path) -> None:
    subscription = await console.service_env.requested()
    canary = unique_name("canary.refused")
    insert = "INSERT INTO members (subscription_id, member_id) VALUES ($1, $2)"
    await console.service_env.owner.execute(insert, subscription.id, canary)
    with pytest.raises(UniqueViolationError, match=canary):
        await console.service_env.owner.execute(insert, subscription.id, canary)
    with pytest.raises(UniqueViolationError):
        await console.service_env.owner.execute(
            f"INSERT INTO members VALUES ('{subscription.id}', '{canary}')"
        )
    with pytest.raises(NotNullViolationError):
        await console.service_env.owner.execute("INSERT INTO members (member_id) VALUES ($1)", canary)
    log = (stack_directory / "postgres" / "postgres.log").read_text()
    assert "duplicate key value" in log
    assert "canary.refused" not in log


async def test_admin_site_without_access_returns_403_with_reason(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    account = f"admin@{subscription.request['account']['group']}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        assert page.url.path == "/works"
        await subscription.advance_clock_to(await subscription.clock.now() + timedelta(days=31))
        page = await browser.get("/works")
        assert page.status_code == 403
        assert "The trial has ended and use is suspended" in page.text
        page = await browser.get("/works/sign-in", follow_redirects=False)
        assert page.headers["location"] == "/works"


async def test_admin_site_data_is_erased_with_the_subscription(console: ConsoleServer) -> None:
    service_env = console.service_env
    subscription = await service_env.requested()
    account = f"admin@{subscription.request['account']['group']}"
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        page = await submit(browser, page, "/works/members", member_id="minji", name="Minji")
        page = await submit(browser, page, "/works/company", company_phone="02-1234-5678", company_name="New")
        assert "The company information is saved." in page.text
        full = await submit(browser, page, "/works/members", member_id="admin", name="Again")
        assert full.status_code == 422
        await subscription.send("cancel", date=(await subscription.today()).isoformat())

        async def is_erased() -> bool:
            return (await subscription.status()).state.is_terminal

        await wait_for("the subscription is erased", is_erased)
        certificate = (await service_env.client.certificates(subscription.id))[0]
        assert certificate.rows["members"] == 1
        for table in ("members", "companies", "console_sessions"):
            left = await service_env.owner.fetchval(
                f"SELECT count(*) FROM {table} WHERE subscription_id = $1", subscription.id
            )
            assert left == 0
        assert (await browser.get("/works")).url.path == "/works/sign-in"
        adding = "INSERT INTO members (subscription_id, member_id) VALUES ($1, 'late')"
        with pytest.raises(RestrictViolationError):
            await service_env.owner.execute(adding, subscription.id)
