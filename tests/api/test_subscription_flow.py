"""A customer's use of the API, from the catalogue to the erasure."""

from datetime import date, datetime, timedelta
from typing import Any

from support.api_client import ApiClient, ApiServer, api_description, without
from support.polling import wait_for
from support.service_env import PASSWORD, TERMS, ServiceEnv, unique_name

from subscription.business_calendar import KST

TODAY = datetime.now(KST).date()


async def test_catalogue_is_listed(acme: ApiClient) -> None:
    sold = await acme.gets("/catalogue")
    functions = sold["plans"]["basic"].pop("functions")
    assert len(functions["en"]) == len(functions["ko"]) > 0
    assert sold["plans"]["basic"] == {"title": "Basic", "rank": 2, "list": 7200, "annual": 6000}
    assert sold["terms"][0]["title"] == {"en": "Terms of Service", "ko": "서비스 이용약관"}
    assert sold["trial"]["max_members"] == 1000
    assert [(term["id"], term["version"]) for term in sold["terms"] if term["required"]] == [
        (term["id"], term["version"]) for term in TERMS
    ]


async def test_r5_name_check_does_not_reserve_the_name(
    service_env: ServiceEnv, acme: ApiClient, rival: ApiClient
) -> None:
    name = unique_name("acme")
    free = {"name": name, "kind": "GROUP", "available": True, "status": "AVAILABLE"}
    assert await acme.gets("/check-name", group=name) == free
    await acme.requests(service_env, account={"group": name})
    assert await rival.gets("/check-name", group=name) == {**free, "available": False, "status": "TAKEN"}
    wrong = await acme.gets("/check-name", 422, group="-acme-")
    assert [problem["code"] for problem in wrong["problems"]] == ["INVALID_GROUP_NAME"]
    assert (await acme.gets("/check-name", 422))["code"] == "INVALID_ARGUMENT"
    assert (await acme.gets("/check-name", 422, group="acme", domain="acme.kr"))["code"] == "INVALID_ARGUMENT"


async def test_r9_refused_request_lists_every_problem(service_env: ServiceEnv, acme: ApiClient) -> None:
    body = acme.request_body(service_env, plan="gold", admin_id="A", members="10")
    refused = await acme.posts("/subscriptions", body, 422)
    found = {(problem["field"], problem["code"]) for problem in refused["problems"]}
    assert found == {("plan", "PLAN_NOT_SOLD"), ("admin_id", "INVALID_ADMIN_ID"), ("members", "WRONG_TYPE")}
    judged = await acme.posts("/subscriptions/check", body)
    assert (judged["acceptable"], judged["refused"]["code"]) == (False, "REQUEST_REFUSED")
    assert (await acme.posts("/subscriptions/check", acme.request_body(service_env)))["acceptable"]


async def test_r7_plaintext_password_is_refused_and_not_quoted(
    service_env: ServiceEnv, acme: ApiClient
) -> None:
    body = acme.request_body(service_env)
    del body["password_hash"]
    refused = await acme.posts("/subscriptions", {**body, "password": PASSWORD}, 422)
    assert {problem["code"] for problem in refused["problems"]} == {"MISSING_FIELD", "UNKNOWN_FIELD"}
    assert PASSWORD not in str(refused)
    hashless = await acme.posts("/subscriptions", {**body, "password_hash": PASSWORD}, 422)
    assert [problem["code"] for problem in hashless["problems"]] == ["INVALID_PASSWORD_HASH"]
    assert PASSWORD not in str(hashless)


async def test_r8_contact_email_is_replaced_and_removed(service_env: ServiceEnv, acme: ApiClient) -> None:
    path = f"/subscriptions/{await acme.requests(service_env, contact_email='it@acme.example')}/contact-email"
    assert await acme.gets(path) == {"contact_email": "it@acme.example"}
    for address, kept in (("CEO@ACME.example", "CEO@acme.example"), (None, None)):
        replaced = await acme.http.put(f"/v1{path}", json={"contact_email": address})
        assert (replaced.status_code, replaced.json()) == (200, {"contact_email": kept})
        assert await acme.gets(path) == {"contact_email": kept}
    for body, code in (({"contact_email": "acme"}, "INVALID_EMAIL"), ({}, "MISSING_FIELD")):
        refused = await acme.http.put(f"/v1{path}", json=body)
        assert (refused.status_code, refused.json()["problems"][0]["code"]) == (422, code)


async def test_complete_subscription_lifecycle(
    service_env: ServiceEnv, api_server: ApiServer, acme: ApiClient
) -> None:
    name = unique_name("acme")
    there = f"/subscriptions/{await acme.requests(service_env, account={'group': name})}"
    assert (await acme.gets(there))["state"] == "TRIAL"
    day = (TODAY + timedelta(days=1)).isoformat()
    quoted = await acme.gets(f"{there}/quote", of="switch", on=day, term="ANNUAL", members=12)
    assert (quoted["monthly"], quoted["monthly_now"], quoted["date"]) == (72_000, 0, day)
    reserved = await acme.posts(f"{there}/switch-to-paid", {"date": day, "term": "ANNUAL"})
    assert [event["event"] for event in reserved["events"]] == ["SWITCH_RESERVED"]
    assert (await acme.gets(f"{there}/upcoming"))["items"][0]["entry"]["event"] == "SWITCHED_TO_PAID"
    await acme.posts(f"{there}/withdraw-reservation", {})
    paid = await acme.posts(f"{there}/switch-to-paid", {"date": str(TODAY), "term": "MONTHLY"})
    assert paid["state"] == "ACTIVE"
    await acme.posts(f"{there}/change-renewal-option", {"term": "ANNUAL", "members": 5})
    await acme.posts(f"{there}/change-renewal-option", {"term": None})
    more = await acme.gets(f"{there}/quote", of="upgrade", members=20)
    assert (more["monthly"], more["monthly_now"]) == (144_000, 72_000)
    terms = await acme.gets(f"{there}/required-terms")
    agreed = [{"id": term["id"], "version": term["version"]} for term in terms["items"]]
    await acme.posts(f"{there}/upgrade", {"members": 20, "agreed_terms": agreed})
    await acme.posts(f"{there}/rename-account", {"group": f"{name}-kr"})
    leaving = await acme.gets(f"{there}/quote", on=str(TODAY))
    ended = await acme.posts(
        f"{there}/cancel", {"date": str(TODAY), "confirmation": f"admin@{name}-kr", "by": "kim"}
    )
    assert ended["ledger"] == leaving["ledger"]
    await api_server.subscription(there.rpartition("/")[2]).has_closed()
    assert (await acme.gets(there))["state"] == "ERASED"
    timeline = await acme.gets(f"{there}/timeline")
    assert timeline["items"][-1]["event"] == "ERASED"
    assert await acme.gets(f"{there}/upcoming") == {"items": [], "next": None}
    assert len((await acme.gets(f"{there}/certificates"))["items"]) == 2
    # A contract that ends on its first day has no charges.
    assert (await acme.gets(f"{there}/ledger"))["items"] == []
    assert await acme.gets(f"{there}/explanations") == {"items": [], "next": None}
    over = await acme.posts(f"{there}/check-domain", {}, 409)
    assert over["code"] == "SUBSCRIPTION_ENDED"


async def test_r36_entitlements_change_with_the_members(service_env: ServiceEnv, acme: ApiClient) -> None:
    subscription_id = await acme.requests(service_env, members=1)
    there = f"/v1/subscriptions/{subscription_id}/entitlements"
    first = await acme.http.get(there)
    assert first.json()["functions"] == (await acme.gets("/catalogue"))["plans"]["basic"]["functions"]
    assert without(first.json(), "functions") == {
        "subscription_id": subscription_id,
        "sequence": 1,
        "state": "TRIAL",
        "access": "FULL",
        "plan": "basic",
        "seats": 1,
        "members_in_use": 1,
        "locked_members": 0,
    }
    known = {"If-None-Match": first.headers["etag"]}
    assert (await acme.http.get(there, headers=known)).status_code == 304
    await service_env.owner.execute(
        "INSERT INTO members (subscription_id, member_id) VALUES ($1, 'minji')", subscription_id
    )
    changed = await acme.http.get(there, headers=known)
    assert changed.status_code == 200
    assert (changed.json()["members_in_use"], changed.json()["locked_members"]) == (2, 1)
    assert subscription_id in {
        found["subscription_id"] for found in (await acme.gets("/find", which="over-seats"))["items"]
    }


async def test_refused_command_states_the_reason(service_env: ServiceEnv, acme: ApiClient) -> None:
    there = f"/subscriptions/{await acme.requests(service_env)}"
    for command, body, status, code in (
        ("upgrade", {"members": 20, "agreed_terms": []}, 409, "NOT_YET_PAID"),
        ("withdraw-reservation", {}, 409, "NOTHING_RESERVED"),
        ("switch-to-paid", {"date": "2020-01-01", "term": "ANNUAL"}, 422, "DATE_IN_THE_PAST"),
        ("switch-to-paid", {"date": "soon", "term": "ANNUAL"}, 422, "INVALID_ARGUMENT"),
        ("cancel", {"date": str(date.max), "confirmation": "x"}, 422, "CONFIRMATION_DIFFERS"),
        ("check-domain", {"id": "mine"}, 422, "INVALID_ARGUMENT"),
        ("check-domain", {"at": "2027-01-01T00:00:00+09:00"}, 422, "INVALID_ARGUMENT"),
        ("check-domain", [], 422, "INVALID_ARGUMENT"),
    ):
        assert (await acme.posts(f"{there}/{command}", body, status))["code"] == code


async def test_refusal_suggests_no_refused_field(service_env: ServiceEnv, acme: ApiClient) -> None:
    there = f"/subscriptions/{await acme.requests(service_env)}"
    refused = await acme.posts(f"{there}/check-domain", {"colour": "red"}, 422)
    assert refused["detail"].endswith("Known fields: by.")
    refused = await acme.posts(f"{there}/cancel", {"colour": "red"}, 422)
    assert refused["detail"].endswith("Known fields: by, date, confirmation.")


async def test_every_list_has_items_and_next_cursor(
    service_env: ServiceEnv, acme: ApiClient, operator: ApiClient
) -> None:
    subscription_id = await acme.requests(service_env)
    schemas = api_description()["components"]["schemas"]
    for path, operations in api_description()["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        assert schema.get("type") != "array", path
        if "items" in schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {}):
            path = path.removeprefix("/v1").replace("{subscription_id}", subscription_id)
            if "{" in path:  # for a subscription that does not exist here
                continue
            caller = acme if path == "/events" else operator  # an operator must name a customer
            page = await caller.gets(path)
            assert {"items", "next"} <= page.keys(), path


async def test_invoices_and_notices_and_findings(
    service_env: ServiceEnv, operator: ApiClient, acme: ApiClient
) -> None:
    assert (await operator.gets("/invoices", month="2027-03-01"))["items"] == []
    assert (await operator.gets("/invoices/2020-000001", 404))["code"] == "INVOICE_NOT_FOUND"
    assert (await operator.gets("/notices", state="UNDELIVERABLE"))["items"] == []
    assert (await operator.gets("/notices/999999", 404))["code"] == "NOTICE_NOT_FOUND"
    assert (await operator.gets("/reconciliations/latest", 404))["code"] == "RECONCILIATION_NOT_FOUND"
    assert (await operator.gets("/reconciliations/run-1/findings", 404))["code"] == (
        "RECONCILIATION_NOT_FOUND"
    )
    there = f"/subscriptions/{await acme.requests(service_env)}"
    assert await acme.gets(f"{there}/adjustments") == {"items": [], "next": None}
    adjustment = {
        "key": f"{there}/SERVICE_FEE/2027-01-01",
        "amount": -1,
        "reason": "GOODWILL",
        "reference": "T-1",
    }
    refused = await operator.posts(f"{there}/adjustments", adjustment, 404)
    assert refused["code"] == "LINE_NOT_FOUND"


async def test_finding(service_env: ServiceEnv, operator: ApiClient, acme: ApiClient) -> None:
    subscription_id = await acme.requests(service_env, account={"domain": f"{unique_name('acme')}.kr"})
    restricted = await acme.gets("/find", which="restricted")
    assert [item["subscription_id"] for item in restricted["items"]] == [subscription_id]
    assert (await operator.gets("/find", 400, query="Nonsense = 1"))["code"] == "INVALID_QUERY"


async def test_operators_find_why_a_subscription_needs_attention(
    service_env: ServiceEnv, operator: ApiClient, acme: ApiClient
) -> None:
    subscription_id = await acme.requests(service_env)
    handle = service_env.temporal.get_workflow_handle(f"subscription-{subscription_id}")
    await handle.signal("needs_attention", {"needed": True, "reason": "T-4711"})
    query = f"WorkflowId = 'subscription-{subscription_id}' AND NeedsAttention = true"

    async def found() -> dict[str, Any]:
        return dict((await operator.gets("/find", query=query))["attention"])

    attention = (await wait_for("the search finds it", found))[subscription_id]
    assert (attention["kind"], attention["reason"]) == ("OPERATOR", "T-4711")
    assert attention["advice"].endswith('The signal needs_attention with {"needed": false} removes it.')
    assert datetime.fromisoformat(attention["since"]).utcoffset() == timedelta(hours=9)
    marked = await acme.gets("/find", which="needs-attention")
    assert subscription_id in [item["subscription_id"] for item in marked["items"]]
    assert marked["attention"] == {}
