"""Authorization between two customers: every route treats the other's data as nonexistent."""

import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from support.api_client import ApiClient, ApiServer, api_description, without
from support.service_env import ServiceEnv, unique_name

from entrypoints.api import health, routes
from entrypoints.api.pagination import encode_cursor

UNKNOWN_ID = str(uuid.uuid4())
_ONE = "/v1/subscriptions/{subscription_id}"
QUERIES: dict[str, tuple[str, ...]] = {
    _ONE: ("",),
    f"{_ONE}/entitlements": ("",),
    f"{_ONE}/timeline": ("", "?limit=1"),
    f"{_ONE}/ledger": ("",),
    f"{_ONE}/explanations": ("", "?key=SERVICE_FEE/2027-01-01"),
    f"{_ONE}/adjustments": ("",),
    f"{_ONE}/upcoming": ("",),
    f"{_ONE}/quote": ("?on=2027-01-01", "?of=switch&on=2027-01-01&term=ANNUAL", "?of=upgrade&members=20"),
    f"{_ONE}/required-terms": ("",),
    f"{_ONE}/certificates": ("",),
    f"{_ONE}/contact-email": ("",),
    f"{_ONE}/events": ("",),
    f"{_ONE}/export": ("",),
}
"""Query strings tried with each path."""
COMMANDS: dict[str, Any] = {
    f"{_ONE}/switch-to-paid": {"date": "2027-01-01", "term": "ANNUAL"},
    f"{_ONE}/change-renewal-option": {"term": "ANNUAL"},
    f"{_ONE}/upgrade": {"members": 20, "agreed_terms": []},
    f"{_ONE}/cancel": {"date": "2027-01-01", "confirmation": "admin@acme"},
    f"{_ONE}/withdraw-reservation": {},
    f"{_ONE}/rename-account": {"group": "mine-now"},
    f"{_ONE}/check-domain": {},
}
NUMBERED = {
    "/v1/invoices/{number}": ("2026-999999", "INVOICE_NOT_FOUND"),
    "/v1/notices/{number}": ("999999", "NOTICE_NOT_FOUND"),
}
"""For each path, an unused number and the expected error code."""
OPERATORS = {
    ("POST", f"{_ONE}/adjustments"),
    ("GET", "/v1/reconciliations/latest"),
    ("GET", "/v1/reconciliations/{run}"),
    ("GET", "/v1/reconciliations/{run}/findings"),
    ("GET", "/v1/journal"),
    ("POST", "/v1/bulk/dry-run"),
    ("POST", "/v1/bulk"),
    ("GET", "/v1/bulk"),
    ("GET", "/v1/bulk/{run_id}"),
    ("GET", "/v1/bulk/{run_id}/results"),
    ("POST", "/v1/bulk/{run_id}/pause"),
    ("POST", "/v1/bulk/{run_id}/resume"),
    ("POST", "/v1/bulk/{run_id}/stop"),
}
OWN = {
    ("GET", "/v1/subscriptions"): "customer_id=C-acme",
    ("GET", "/v1/find"): "",
    ("GET", "/v1/invoices"): "customer_id=C-billed",
    ("GET", "/v1/notices"): "",
    ("GET", "/v1/events"): "customer_id=C-acme",
    ("GET", "/v1/webhook-endpoints"): "",
}
"""Lists, with the query parameter that names the other customer."""
_ENDPOINT = "/v1/webhook-endpoints/{endpoint_id}"
ENDPOINTS = {
    ("GET", _ENDPOINT),
    ("DELETE", _ENDPOINT),
    ("GET", f"{_ENDPOINT}/deliveries"),
    *(("POST", f"{_ENDPOINT}/{verb}") for verb in ("pause", "resume", "rotate-secret", "test", "replay")),
}
"""Operations on one webhook endpoint."""
REQUESTS = {
    ("POST", "/v1/webhook-endpoints"),
    ("POST", "/v1/subscriptions"),
    ("POST", "/v1/subscriptions/check"),
}
PUBLIC_ROUTES = {("GET", path) for path in ("/healthz", "/readyz", "/v1/catalogue", "/v1/check-name")}
"""Routes without customer data. `check-name` reports only whether a name is taken."""


@dataclass(frozen=True)
class OtherCustomer:
    """A subscription of another customer, and the numbers of its documents by path."""

    subscription_id: str
    numbers: dict[str, str]


@pytest.fixture(scope="session")
async def other_id(service_env: ServiceEnv, acme: ApiClient) -> str:
    return await acme.requests(service_env)


@pytest.fixture(scope="module")
async def billed(service_env: ServiceEnv) -> AsyncIterator[OtherCustomer]:
    """Create another customer's subscription with an invoice and a notice, and return their numbers.

    Deletes the notice afterwards, because other tests expect an empty outbox.
    """
    subscription = await service_env.paid("2026-03-01 09:00", term="MONTHLY", customer_id="C-billed")
    await subscription.advance_to("2026-04-01 00:00")
    await service_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": "2026-03"}, id=unique_name("close"), task_queue=service_env.task_queue
    )
    [invoice] = await service_env.client.invoices(customer_id="C-billed")
    notice = await service_env.owner.fetchval(
        """
        INSERT INTO notices (subscription_id, customer_id, kind, event_date, threshold_days)
        VALUES ($1, 'C-billed', 'CONTRACT_ENDING', '2026-03-31', 3) RETURNING number
        """,
        subscription.id,
    )
    yield OtherCustomer(
        subscription.id, {"/v1/invoices/{number}": invoice.number, "/v1/notices/{number}": str(notice)}
    )
    await service_env.owner.execute("DELETE FROM notices WHERE number = $1", notice)


def test_every_route_of_the_api_is_tried() -> None:
    described = {
        (method.upper(), path)
        for path, operations in api_description()["paths"].items()
        for method in operations
    }
    tried = {("GET", path) for path in (*QUERIES, *NUMBERED)} | {("POST", path) for path in COMMANDS}
    tried |= {("PUT", f"{_ONE}/contact-email")}
    assert described == tried | OPERATORS | OWN.keys() | REQUESTS | PUBLIC_ROUTES | ENDPOINTS


def test_description_lists_every_route() -> None:
    modules = [import_module(f"{routes.__name__}.{each.name}") for each in iter_modules(routes.__path__)]
    hidden = [
        route.path
        for module in (*modules, health)
        for route in module.router.routes
        if not route.include_in_schema
    ]
    assert hidden == []


@pytest.mark.parametrize("path", QUERIES)
async def test_reads_of_other_customer_are_not_found(rival: ApiClient, other_id: str, path: str) -> None:
    for query in QUERIES[path]:
        question = path.removeprefix("/v1") + query
        found = await rival.gets(question.format(subscription_id=other_id), 404)
        nothing = await rival.gets(question.format(subscription_id=UNKNOWN_ID), 404)
        assert without(found, "request_id") == without(nothing, "request_id")
        assert found["code"] == "SUBSCRIPTION_NOT_FOUND"


@pytest.mark.parametrize("path", COMMANDS)
async def test_commands_to_other_customer_are_not_found(
    api_server: ApiServer, acme: ApiClient, rival: ApiClient, other_id: str, path: str
) -> None:
    command = path.removeprefix("/v1")
    before = await acme.gets(f"/subscriptions/{other_id}/timeline")
    found = await rival.posts(command.format(subscription_id=other_id), COMMANDS[path], 404)
    nothing = await rival.posts(command.format(subscription_id=UNKNOWN_ID), COMMANDS[path], 404)
    assert without(found, "request_id") == without(nothing, "request_id")
    assert await acme.gets(f"/subscriptions/{other_id}/timeline") == before
    # No update reached the workflow: its history has only the request.
    history = await api_server.subscription(other_id).history()
    accepted = [event.workflow_execution_update_accepted_event_attributes for event in history]
    inputs = [each.accepted_request.input.name for each in accepted]
    assert {name for name in inputs if name} <= {"request"}


async def test_contact_email_of_other_customer_is_not_found(
    acme: ApiClient, rival: ApiClient, other_id: str
) -> None:
    path = "/v1/subscriptions/{}/contact-email"
    before = await acme.gets(f"/subscriptions/{other_id}/contact-email")
    body = {"contact_email": "mine@rival.example"}
    answers = [await rival.http.put(path.format(each), json=body) for each in (other_id, UNKNOWN_ID)]
    assert [answer.status_code for answer in answers] == [404, 404]
    found, nothing = (without(answer.json(), "request_id") for answer in answers)
    assert found == nothing
    assert await acme.gets(f"/subscriptions/{other_id}/contact-email") == before


@pytest.mark.parametrize("path", NUMBERED)
async def test_resource_of_other_customer_is_not_found_by_number(
    operator: ApiClient, rival: ApiClient, billed: OtherCustomer, path: str
) -> None:
    numbered, (unknown, code) = path.removeprefix("/v1"), NUMBERED[path]
    await operator.gets(numbered.format(number=billed.numbers[path]))
    found = await rival.gets(numbered.format(number=billed.numbers[path]), 404)
    nothing = await rival.gets(numbered.format(number=unknown), 404)
    assert found["code"] == nothing["code"] == code
    assert without(found, "request_id") == without(nothing, "request_id")


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_lists_exclude_other_customers(
    rival: ApiClient, other_id: str, billed: OtherCustomer, method: str, path: str
) -> None:
    query = OWN[method, path]
    for inputs in ("", f"?{query}"):
        found = str(await rival.gets(path.removeprefix("/v1") + inputs))
        assert [
            word for word in (other_id, billed.subscription_id, "C-acme", "C-billed") if word in found
        ] == []


@pytest.mark.parametrize("path", ["/notices", "/events"])
async def test_list_of_other_customers_subscription_is_not_found(
    rival: ApiClient, billed: OtherCustomer, path: str
) -> None:
    found = await rival.gets(path, 404, subscription_id=billed.subscription_id)
    nothing = await rival.gets(path, 404, subscription_id=UNKNOWN_ID)
    assert found["code"] == "SUBSCRIPTION_NOT_FOUND"
    assert without(found, "request_id") == without(nothing, "request_id")


async def test_tampered_cursor_discloses_no_other_customer(rival: ApiClient) -> None:
    for position in ("0", "00000000-0000-0000-0000-000000000000", "'OR/**/true--", "%"):
        cursor = encode_cursor("subscriptions", position)
        assert (await rival.gets("/subscriptions", cursor=cursor))["items"] == []
        elsewhere = base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")
        assert (await rival.gets("/subscriptions", 400, cursor=elsewhere))["code"] == "INVALID_CURSOR"
    for cursor in ("%%%", "ÿ", "AA", "MA==", "bm90LWEtbnVtYmVy"):
        assert (await rival.gets("/notices", 400, cursor=cursor))["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(("method", "path"), sorted(OPERATORS))
async def test_operator_routes_refuse_customers(
    rival: ApiClient, other_id: str, method: str, path: str
) -> None:
    there = path.removeprefix("/v1").format(subscription_id=other_id, run="run-1", run_id="run-1")
    if method == "GET":
        refused = await rival.gets(there, 403, **({"month": "2026-03"} if path == "/v1/journal" else {}))
    else:
        refused = await rival.posts(there, {"amount": -1}, 403)
    assert refused["code"] == "OPERATORS_ONLY"


@pytest.mark.parametrize("query", ["CustomerId = 'C-acme'", "A = 1) OR (B = 2"])
async def test_temporal_query_language_is_operator_only(rival: ApiClient, query: str) -> None:
    assert (await rival.gets("/find", 403, query=query))["code"] == "OPERATORS_ONLY"


@pytest.mark.parametrize(("method", "path"), sorted(REQUESTS))
async def test_request_for_other_customer_is_refused(
    service_env: ServiceEnv, rival: ApiClient, method: str, path: str
) -> None:
    if path.endswith("webhook-endpoints"):
        body = {"url": "https://hooks.acme.example/", "customer_id": "C-acme"}
        refused = await rival.posts(path.removeprefix("/v1"), body, 403)
        assert (refused["code"], refused["field"]) == ("OPERATORS_ONLY", "customer_id")
        return
    body = {**rival.request_body(service_env), "customer_id": "C-acme"}
    refused = await rival.posts(path.removeprefix("/v1"), body, 422)
    assert (refused["code"], refused["field"]) == ("REQUEST_REFUSED", "customer_id")


@pytest.mark.parametrize(("method", "path"), sorted(ENDPOINTS))
async def test_webhook_endpoint_of_other_customer_is_not_found(
    acme: ApiClient, rival: ApiClient, method: str, path: str
) -> None:
    body = {"url": "https://hooks.acme.example/"}
    other_id = (await acme.posts("/webhook-endpoints", body, 201))["endpoint_id"]
    for endpoint_id in (other_id, "we_0000000000000000"):
        answer = await rival.http.request(method, path.format(endpoint_id=endpoint_id), **_send(method))
        assert (answer.status_code, answer.json()["code"]) == (404, "ENDPOINT_NOT_FOUND")
    found = await acme.gets(f"/webhook-endpoints/{other_id}")
    assert (found["status"], found["waiting"]) == ("ENABLED", 0)
    removed = await acme.http.delete(f"/v1/webhook-endpoints/{other_id}")
    assert removed.status_code == 204


def _send(method: str) -> dict[str, Any]:
    return {"json": {}, "headers": {"Idempotency-Key": uuid.uuid4().hex}} if method == "POST" else {}


async def test_idempotency_keys_are_scoped_by_customer(
    service_env: ServiceEnv, acme: ApiClient, rival: ApiClient
) -> None:
    first, second = acme.request_body(service_env), rival.request_body(service_env)
    other_id = await acme.posts("/subscriptions", first, 201, key="order-1")
    mine = await rival.posts("/subscriptions", second, 201, key="order-1")
    assert other_id["subscription_id"] != mine["subscription_id"]
    assert await acme.posts("/subscriptions", first, 201, key="order-1") == other_id
    # The other customer's own body is refused too, because the name is taken.
    refused = await rival.posts("/subscriptions", first, 409, key="order-2")
    assert refused["code"] == "NAME_TAKEN"


async def test_operators_see_both_customers(operator: ApiClient, rival: ApiClient, other_id: str) -> None:
    assert (await operator.gets(f"/subscriptions/{other_id}"))["customer_id"] == "C-acme"
    listed = await operator.gets("/subscriptions", customer_id="C-acme", limit=200)
    assert other_id in [item["subscription_id"] for item in listed["items"]]
