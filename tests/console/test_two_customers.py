"""Authorization between two customers: every console route hides the other's data."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.routing import Mount, Route
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.polling import wait_for
from support.service_env import PASSWORD, ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.attention_copy import copy_attention
from adapters.postgres.contact_emails import contact_email
from adapters.postgres.pool import Pool
from entrypoints.console.works_admin.repository import Member, WorksAdminRepository
from subscription.invoice import Invoice

NAMED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("GET", "/subscriptions/{subscription_id}"): {},
    ("GET", "/subscriptions/{subscription_id}/billing"): {},
    ("GET", "/subscriptions/{subscription_id}/activity"): {},
    ("GET", "/subscriptions/{subscription_id}/settings"): {},
    ("GET", "/subscriptions/{subscription_id}/charges.csv"): {},
    ("GET", "/subscriptions/{subscription_id}/switch"): {"review": "1"},
    ("POST", "/subscriptions/{subscription_id}/switch"): {"date": "2026-04-02", "term": "ANNUAL"},
    ("GET", "/subscriptions/{subscription_id}/renewal"): {"review": "1", "term": "ANNUAL"},
    ("POST", "/subscriptions/{subscription_id}/renewal"): {"term": "ANNUAL"},
    ("GET", "/subscriptions/{subscription_id}/upgrade"): {"terms": "1", "plan": "premium"},
    ("POST", "/subscriptions/{subscription_id}/upgrade"): {"plan": "premium", "agreed": "service,privacy"},
    ("GET", "/subscriptions/{subscription_id}/what-if"): {"a_change": "cancel"},
    ("GET", "/subscriptions/{subscription_id}/cancel"): {"date": "2026-04-02"},
    ("POST", "/subscriptions/{subscription_id}/cancel"): {
        "date": "2026-04-02",
        "confirmation": "the-account",
    },
    ("POST", "/subscriptions/{subscription_id}/withdraw"): {},
    ("GET", "/subscriptions/{subscription_id}/rename"): {},
    ("POST", "/subscriptions/{subscription_id}/rename"): {"kind": "GROUP", "name": "mine"},
    ("POST", "/subscriptions/{subscription_id}/domain"): {},
    ("POST", "/subscriptions/{subscription_id}/export"): {},
    ("GET", "/subscriptions/{subscription_id}/notices"): {"before": "9"},
    ("GET", "/subscriptions/{subscription_id}/contact-email"): {},
    ("POST", "/subscriptions/{subscription_id}/contact-email"): {"contact_email": "mine@acme.example"},
    ("POST", "/subscriptions/{subscription_id}/clock"): {"by": "day"},
    ("GET", "/request/complete/{subscription_id}"): {},
    ("POST", "/request/complete/{subscription_id}"): {},
    ("GET", "/invoices/{number}"): {},
    ("GET", "/invoices/{number}.pdf"): {},
}
"""Routes that name data of the other customer, with their form fields."""

OPERATORS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("GET", "/operator"): {"customer_id": "the-customer"},
    ("GET", "/operator/catalogue"): {"version": "2020-01"},
    ("POST", "/operator/catalogue"): {"catalogue": "version = 1"},
    ("GET", "/operator/bulk"): {},
    ("POST", "/operator/bulk"): {"command": "withdraw_reservation", "ids": "the-id", "preview": "0"},
    ("GET", "/operator/bulk/new"): {},
    ("POST", "/operator/bulk/new"): {"command": "withdraw_reservation", "ids": "the-id"},
    ("GET", "/operator/bulk/{run_id}"): {},
    ("POST", "/operator/bulk/{run_id}/{action}"): {},
}
"""Operator routes with data of all customers, which do not exist for a customer."""
RUN = {"run_id": "run-1", "action": "stop"}

OWN: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("GET", "/"): {},
    ("GET", "/design"): {},
    ("GET", "/subscriptions"): {"customer": "the-customer", "after": "0"},
    ("GET", "/invoices"): {"customer": "the-customer"},
    ("GET", "/invoices.csv"): {"customer": "the-customer"},
    ("GET", "/request"): {},
    ("GET", "/request/{draft}/{step}"): {},
    ("POST", "/request/{draft}/{step}"): {"customer_id": "the-customer"},
    ("POST", "/request/duplicates"): {"kind": "GROUP", "group": "the-name"},
    ("GET", "/sign-in"): {"next": "/subscriptions/the-id"},
    ("POST", "/sign-in/developer"): {"as": "customer", "customer_id": "somebody-else"},
    ("GET", "/sign-in/issuer"): {},
    ("GET", "/sign-in/callback"): {"code": "the-id", "state": "the-id"},
    ("GET", "/sign-in/signed-out"): {},
    ("POST", "/language"): {"language": "en", "next": "/subscriptions/the-id"},
    ("POST", "/sign-out"): {},
}
"""Routes of the visitor's own data, requested with identifiers of the other customer."""

WORKS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("GET", "/works"): {"subscription_id": "the-id"},
    ("GET", "/works/sign-in"): {},
    ("POST", "/works/sign-in"): {"account": "the-account", "password": PASSWORD[::-1]},
    ("POST", "/works/export"): {"subscription_id": "the-id"},
    ("POST", "/works/company"): {
        "company_name": "Mine",
        "company_phone": "02-1234-5678",
        "subscription_id": "the-id",
    },
    ("POST", "/works/members"): {"member_id": "mine", "name": "Mine", "subscription_id": "the-id"},
    ("POST", "/works/members/remove"): {"member_id": "minji", "subscription_id": "the-id"},
    ("GET", "/works/rename"): {"subscription_id": "the-id"},
    ("POST", "/works/rename"): {"kind": "GROUP", "name": "mine", "subscription_id": "the-id"},
    ("POST", "/works/language"): {"language": "en"},
    ("POST", "/works/sign-out"): {},
}
"""Routes of the visitor's own administrator, requested with the other's members and id."""

UNKNOWN_ID = "no-such-subscription"


@dataclass(frozen=True)
class OtherCustomer:
    """The other customer's subscription, with all data that must stay hidden."""

    subscription: SubscriptionDriver
    invoice: Invoice
    record: WorksAdminRepository
    pool: Pool

    @property
    def customer(self) -> str:
        return str(self.subscription.request["customer_id"])

    @property
    def name(self) -> str:
        return str(self.subscription.request["account"]["group"])

    @property
    def secrets(self) -> tuple[str, ...]:
        names = ("Hanbit Trading", "Kim Minji", "it@hanbit.example")
        return (self.subscription.id, self.customer, *names, self.invoice.number)

    def form_fields(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the form fields with placeholders replaced."""
        words = {"the-id": self.subscription.id, "the-customer": self.customer, "the-name": self.name}
        words["the-account"] = f"admin@{self.name}"
        return {
            key: re.sub("the-(id|customer|name|account)", lambda found: words[found[0]], value)
            for key, value in fields.items()
        }

    async def snapshot(self) -> tuple[object, ...]:
        """Return a snapshot of all data that a request could have changed."""
        return (
            await self.subscription.client.timeline(self.subscription.id),
            round((await self.subscription.clock.now() - datetime.now(UTC)) / timedelta(hours=1)),
            await self.record.company(self.subscription.id),
            await contact_email(self.pool, self.subscription.id),
            await self.record.members(self.subscription.id, seats=10),
            await self.subscription.client.invoices(customer_id=self.customer),
        )


@pytest.fixture(scope="module")
async def other_customer(console: ConsoleServer) -> OtherCustomer:
    """Create a subscription charged for March, with an invoice and a member."""
    service_env = console.service_env
    subscription = await service_env.paid(
        "2026-03-01 09:00",
        term="MONTHLY",
        company_name="Hanbit Trading",
        contact_email="it@hanbit.example",
    )
    await subscription.advance_to("2026-04-01 00:00")
    await service_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": "2026-03"}, id=unique_name("close"), task_queue=service_env.task_queue
    )
    [invoice] = await service_env.client.invoices(customer_id=subscription.request["customer_id"])
    await service_env.owner.execute(
        "UPDATE subscriptions SET members = 9 WHERE subscription_id = $1", subscription.id
    )
    record = WorksAdminRepository(service_env.owner)
    assert await record.add_member(subscription.id, Member(member_id="minji", name="Kim Minji"))
    return OtherCustomer(subscription, invoice, record, service_env.owner)


@pytest.fixture(scope="module")
async def stranger(console: ConsoleServer) -> AsyncIterator[httpx.AsyncClient]:
    """Open a browser with the session of a customer without subscriptions; no refused request changes it."""
    async with console.browser() as browser:
        await sign_in(browser, unique_name("stranger"))
        yield browser


def test_every_route_of_the_console_is_tried(console: ConsoleServer) -> None:
    tried = [*NAMED, *OPERATORS, *OWN, *WORKS]
    assert len(tried) == len(set(tried))
    assert set(tried) == {
        (method, route.path)
        for route in console.app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert [route.path for route in console.app.routes if isinstance(route, Mount)] == ["/static"]


@pytest.mark.parametrize(("method", "path"), [*NAMED, *OPERATORS])
async def test_pages_of_other_customer_are_not_found(
    console: ConsoleServer,
    other_customer: OtherCustomer,
    stranger: httpx.AsyncClient,
    method: str,
    path: str,
) -> None:
    fields = other_customer.form_fields({**NAMED, **OPERATORS}[method, path])
    before = await other_customer.snapshot()
    other_path = path.format(
        subscription_id=other_customer.subscription.id, number=other_customer.invoice.number, **RUN
    )
    unknown_path = path.format(subscription_id=UNKNOWN_ID, number="2026-999999", **RUN)
    answer = await _request(console, stranger, method, other_path, fields)
    nothing = await _request(console, stranger, method, unknown_path, fields)
    assert (answer.status_code, nothing.status_code) == (404, 404)
    assert _without_return_target(answer.text) == _without_return_target(nothing.text)
    assert await other_customer.snapshot() == before


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_own_pages_exclude_other_customers(
    console: ConsoleServer, other_customer: OtherCustomer, method: str, path: str
) -> None:
    sent = other_customer.form_fields(OWN[method, path])
    before = await other_customer.snapshot()
    async with console.browser() as browser:
        await sign_in(browser, unique_name("stranger"))
        draft = (await browser.get("/request")).url.path.split("/")[2]
        for step in ("product", "terms", "information", "check") if "{step}" in path else ("",):
            answer = await _request(console, browser, method, path.format(step=step, draft=draft), sent)
            assert answer.status_code < 500
            assert [
                word for word in other_customer.secrets if word in _without_return_target(answer.text)
            ] == []
    assert await other_customer.snapshot() == before


@pytest.mark.parametrize(("method", "path"), WORKS)
async def test_administrator_reaches_only_own_organization(
    console: ConsoleServer, other_customer: OtherCustomer, method: str, path: str
) -> None:
    own = await console.service_env.requested()
    sent = other_customer.form_fields(WORKS[method, path])
    before = await other_customer.snapshot()
    async with console.browser() as browser:
        page = await browser.get("/works/sign-in")
        account = f"admin@{own.request['account']['group']}"
        page = await submit(browser, page, "/works/sign-in", account=account, password=PASSWORD)
        assert page.url.path == "/works", page.text
        answer = await _request(console, browser, method, path, sent, page=page)
    assert answer.status_code in (200, 403, 409)
    assert [word for word in other_customer.secrets if word in _without_return_target(answer.text)] == []
    assert await other_customer.snapshot() == before


@pytest.mark.parametrize(("method", "path"), [*NAMED, *OPERATORS])
async def test_anonymous_requests_are_refused(
    console: ConsoleServer, other_customer: OtherCustomer, method: str, path: str
) -> None:
    before = await other_customer.snapshot()
    async with console.browser() as browser:
        page = await browser.get("/sign-in")
        there = path.format(
            subscription_id=other_customer.subscription.id, number=other_customer.invoice.number, **RUN
        )
        fields = other_customer.form_fields({**NAMED, **OPERATORS}[method, path])
        answer = await _request(console, browser, method, there, fields, page=page)
    assert answer.url.path == "/sign-in"
    assert [word for word in other_customer.secrets if word in _without_return_target(answer.text)] == []
    assert await other_customer.snapshot() == before


async def test_session_is_invalid_in_the_other_realm(
    console: ConsoleServer, other_customer: OtherCustomer
) -> None:
    async with console.browser() as browser, console.browser() as other:
        await sign_in(browser, other_customer.customer)
        other.cookies.set("works-admin", browser.cookies["console"])
        assert (await other.get("/works")).url.path == "/works/sign-in"
        page = await browser.get("/works/sign-in")
        page = await submit(
            browser, page, "/works/sign-in", account=f"admin@{other_customer.name}", password=PASSWORD
        )
        assert page.url.path == "/works"
        other.cookies.set("console", browser.cookies["works-admin"])
        assert (await other.get("/subscriptions")).url.path == "/sign-in"


async def test_operators_see_all_customers_see_own(
    console: ConsoleServer, other_customer: OtherCustomer
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, "")
        assert other_customer.subscription.id[:8] in await _text(
            browser, f"/operator?customer_id={other_customer.customer}"
        )
        assert other_customer.subscription.id[:8] not in await _text(
            browser, "/operator?customer_id=somebody-else"
        )
        assert (await browser.get(f"/subscriptions/{other_customer.subscription.id}")).status_code == 200
        assert (await browser.get(f"/invoices/{other_customer.invoice.number}")).status_code == 200
        for path in ("/invoices", "/invoices.csv"):
            listed = await _text(browser, f"{path}?customer={other_customer.customer}")
            assert other_customer.invoice.number in listed
            assert other_customer.invoice.number not in await _text(browser, f"{path}?customer=nobody")
        assert (await browser.get("/request")).status_code == 404
        for ready_made in ("needs-attention", "trials-ending", "suspended", "restricted"):
            assert (await browser.get(f"/operator?which={ready_made}&state=TRIAL")).status_code == 200
        for name, value in (("which", "suspnded"), ("state", "SUSPNDED")):
            page = await browser.get(
                "/operator", params={"customer_id": other_customer.customer, name: value}
            )
            assert page.status_code == 422
            assert f"There is no filter {value}. Choose one from the list." in page.text
            assert other_customer.subscription.id[:8] not in page.text
    async with console.browser() as browser:
        await sign_in(browser, other_customer.customer)
        assert other_customer.subscription.id[:8] in await _text(browser, "/subscriptions")


async def test_operators_see_why_a_subscription_needs_attention(
    service_env: ServiceEnv, console: ConsoleServer, other_customer: OtherCustomer
) -> None:
    await other_customer.subscription.handle.signal("needs_attention", {"needed": True, "reason": "T-4711"})
    page = f"/subscriptions/{other_customer.subscription.id}"
    try:
        async with console.browser() as browser:
            await sign_in(browser, "")

            async def shown_to_operators() -> str | None:
                await copy_attention(service_env.pool, service_env.temporal)
                shown = await _text(browser, page)
                return shown if "OPERATOR: T-4711, since " in shown else None

            shown = await wait_for("the reason is shown", shown_to_operators)
            assert shown is not None
            assert "Ask the operator who set the mark." in shown
        async with console.browser() as browser:
            await sign_in(browser, other_customer.customer)
            assert "T-4711" not in await _text(browser, page)
    finally:
        await other_customer.subscription.handle.signal("needs_attention", {"needed": False})


async def _request(
    console: ConsoleServer,
    browser: httpx.AsyncClient,
    method: str,
    path: str,
    fields: Mapping[str, str],
    *,
    page: httpx.Response | None = None,
) -> httpx.Response:
    """Send a request with the visitor's own CSRF token, taken from `page` or from the first page."""
    if method == "GET":
        return await browser.get(path, params=dict(fields) or None)
    shown = (page or await browser.get("/subscriptions")).text
    csrf_token = shown.split('name="csrf_token" value="')[1].split('"')[0]
    return await browser.post(
        path, data={**fields, "csrf_token": csrf_token}, headers={"origin": console.url}
    )


async def _text(browser: httpx.AsyncClient, path: str) -> str:
    return (await browser.get(path)).text


def _without_return_target(page: str) -> str:
    """Return the page without the requested address, which its forms contain as a return target."""
    return "\n".join(line for line in page.splitlines() if 'name="next"' not in line)
