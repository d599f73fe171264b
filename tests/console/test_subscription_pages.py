"""Pages of a subscription: deletion banner, contact email address, notices (R8, R34)."""

from datetime import timedelta

from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.polling import wait_for
from support.scenario_builder import BOOK
from support.service_env import unique_name

from adapters.translation import Language, Translator
from entrypoints.console.message_formatter import MessageFormatter
from subscription.notice_outbox import NoticeKind


async def test_r34_banner_names_days_reason_and_remedy(console: ConsoleServer) -> None:
    """30 days of trial and 30 of grace follow a request."""
    subscription = await console.service_env.requested()
    path, today = f"/subscriptions/{subscription.id}", await subscription.today()
    async with console.browser() as browser, console.browser("ko") as korean:
        await sign_in(browser, subscription.request["customer_id"])
        for page_of in ("", "/billing", "/activity", "/notices", "/settings", "/rename", "/contact-email"):
            page = (await browser.get(path + page_of)).text
            assert '<section class="banner warn" aria-labelledby="deletion">' in page
            assert "30 days left in the free trial" in page
            assert "The free trial ends on" in page
            assert f'<a class="button" href="{path}/switch">Switch to Paid Product</a>' in page
            banner = page.partition('aria-labelledby="deletion"')[2].partition("</section>")[0]
            assert f'action="{path}/export"' in banner
        await sign_in(korean, subscription.request["customer_id"])
        assert "무료 체험 기간이 30일 남았습니다" in (await korean.get(path)).text
        later = f"{today + timedelta(days=3)}"
        await subscription.send("switch_to_paid", date=later, term="ANNUAL")
        assert "All data will be deleted" not in (await browser.get(path)).text
        await subscription.send("withdraw_reservation")
        await subscription.send("cancel", date=later)
        page = (await browser.get(f"{path}/cancel")).text
        assert "All data will be deleted in 3 days" in page
        assert f'<a class="button" href="{path}#actions">Withdraw the Reservation</a>' in page
        await subscription.send("withdraw_reservation")
        await subscription.advance_clock_to(await subscription.clock.now() + timedelta(days=31))
        page = (await browser.get(path)).text
        assert '<section class="banner bad" aria-labelledby="deletion">' in page
        assert "All data will be deleted in 29 days" in page
        assert "The trial has ended and use is suspended." in page
        # An action that is not possible now has its reason as text.
        for action, reason in (
            ("admin", "The trial has ended and use is suspended. It resumes with the switch to a paid plan."),
            ("upgrade", "An upgrade is possible only after the switch to a paid plan."),
        ):
            assert f'aria-describedby="why-{action}"' in page
            assert f'<p id="why-{action}">{reason}</p>' in page


async def test_r08_contact_email_is_changed_and_removed(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested(contact_email="it@acme.example")
    path = f"/subscriptions/{subscription.id}"
    async with console.browser() as browser, console.browser() as other_tab:
        await sign_in(browser, subscription.request["customer_id"])
        other_tab.cookies = browser.cookies
        form = await browser.get(f"{path}/contact-email")
        assert 'value="it@acme.example"' in form.text
        refused = await submit(browser, form, "/contact-email", contact_email="acme.example")
        assert refused.status_code == 422
        assert "Enter an email address such as name@company.co.kr." in refused.text
        page = await submit(browser, form, "/contact-email", contact_email=" CEO@Acme.Example ")
        assert "The contact email is saved." in page.text
        assert "CEO@acme.example" in page.text
        stale = await submit(other_tab, form, "/contact-email", contact_email="old@acme.example")
        assert stale.status_code == 409
        assert "Nothing was saved" in stale.text
        page = await submit(
            browser, await browser.get(f"{path}/contact-email"), "/contact-email", contact_email=""
        )
        assert "The contact email is removed." in page.text
        await subscription.send("cancel", date=f"{await subscription.today()}")
        assert (
            await submit(browser, form, "/contact-email", contact_email="a@acme.example")
        ).status_code == 409


async def test_r34_notices_show_recipient_until_erasure(console: ConsoleServer) -> None:
    service_env = console.service_env
    subscription = await service_env.requested()
    path, group = f"/subscriptions/{subscription.id}", subscription.request["account"]["group"]
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = (await browser.get(f"{path}/notices")).text
        assert "Your free trial of NAVER WORKS has started" in page
        await service_env.temporal.execute_workflow(
            "NoticesWorkflow",
            {"day": f"{await subscription.today() + timedelta(days=28)}"},
            id=unique_name("notices"),
            task_queue=service_env.task_queue,
        )
        page = (await browser.get(f"{path}/notices")).text
        assert "The trial ends" in page
        assert f"admin@{group}.worksmobile.example" in page
        assert "Waiting to be sent" in page
        await subscription.send("cancel", date=f"{await subscription.today()}")

        async def is_erased() -> bool:
            return (await subscription.status()).state.is_terminal

        await wait_for("the subscription is erased", is_erased)
        page = (await browser.get(f"{path}/notices")).text
        assert "The trial ends" in page
        assert f"admin@{group}" not in page
        assert ">Address deleted</span>" in page
        assert "Not sent, because it no longer applies" in page


def test_r34_every_notice_has_a_label() -> None:
    messages = MessageFormatter(Translator(Language.KO), BOOK)
    labels = {messages.notice(kind) for kind in NoticeKind}
    assert len(labels) == len(NoticeKind)
