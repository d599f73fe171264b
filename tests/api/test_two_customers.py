"""Two customers, one trying everything against the other: it is as if the other were not there."""

import base64
import uuid
from typing import Any

import pytest
from service.house import House

from .reception import Reception, Visitor, without

NOBODY = str(uuid.uuid4())
QUESTIONS = (
    "",
    "/timeline",
    "/ledger",
    "/explanations",
    "/explanations?key=SERVICE_FEE/2027-01-01",
    "/adjustments",
    "/upcoming",
    "/quote?on=2027-01-01",
    "/quote?of=switch&on=2027-01-01&term=ANNUAL",
    "/quote?of=upgrade&members=20",
    "/required-terms",
    "/certificates",
    "/events",
)
COMMANDS: dict[str, Any] = {
    "switch_to_paid": {"date": "2027-01-01", "term": "ANNUAL"},
    "change_renewal_option": {"term": "ANNUAL"},
    "upgrade": {"members": 20, "agreed_terms": []},
    "cancel": {"date": "2027-01-01", "confirmation": "admin@acme"},
    "withdraw_reservation": {},
    "rename_account": {"group": "mine-now"},
    "check_domain": {},
}


@pytest.fixture(scope="session")
async def theirs(house: House, acme: Visitor) -> str:
    return await acme.requests(house)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_question_is_answered(rival: Visitor, theirs: str, question: str) -> None:
    found = await rival.gets(f"/subscriptions/{theirs}{question}", 404)
    nothing = await rival.gets(f"/subscriptions/{NOBODY}{question}", 404)
    assert without(found, "request_id") == without(nothing, "request_id")
    assert found["code"] == "SUBSCRIPTION_NOT_FOUND"


@pytest.mark.parametrize("command", COMMANDS)
async def test_no_command_is_carried_out(
    reception: Reception, acme: Visitor, rival: Visitor, theirs: str, command: str
) -> None:
    before = await acme.gets(f"/subscriptions/{theirs}/timeline")
    found = await rival.posts(f"/subscriptions/{theirs}/{command}", COMMANDS[command], 404)
    nothing = await rival.posts(f"/subscriptions/{NOBODY}/{command}", COMMANDS[command], 404)
    assert without(found, "request_id") == without(nothing, "request_id")
    assert await acme.gets(f"/subscriptions/{theirs}/timeline") == before
    # The workflow was not even asked: of updates it has the request alone.
    history = await reception.life(theirs).history()
    accepted = [event.workflow_execution_update_accepted_event_attributes for event in history]
    asked = [each.accepted_request.input.name for each in accepted]
    assert {name for name in asked if name} <= {"request"}


async def test_lists_have_nothing_of_the_others(rival: Visitor, theirs: str) -> None:
    for path in (
        "/subscriptions",
        "/subscriptions?customer_id=C-acme",
        "/invoices?customer_id=C-acme",
        f"/notices?subscription_id={theirs}",
    ):
        assert await rival.gets(path) == {"items": [], "next": None}
    found = await rival.gets("/find", state="TRIAL")
    assert (found["subscriptions"], found["total"]) == ([], 0)


async def test_a_cursor_that_was_tampered_with_leads_to_nothing_of_the_others(rival: Visitor) -> None:
    for position in ("0", "00000000-0000-0000-0000-000000000000", "' OR true --", "%"):
        cursor = base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")
        assert (await rival.gets("/subscriptions", cursor=cursor))["items"] == []
    for cursor in ("%%%", "ÿ", "AA", "MA==", "bm90LWEtbnVtYmVy"):
        assert (await rival.gets("/notices", 400, cursor=cursor))["code"] == "INVALID_CURSOR"


async def test_what_is_the_operators_alone(rival: Visitor, theirs: str) -> None:
    asked = [
        await rival.gets("/find", 403, query="CustomerId = 'C-acme'"),
        await rival.gets("/find", 403, query="A = 1) OR (B = 2"),
        await rival.gets("/reconciliations/latest", 403),
        await rival.gets("/reconciliations/run-1", 403),
        await rival.gets("/reconciliations/run-1/findings", 403),
        await rival.posts(f"/subscriptions/{theirs}/adjustments", {"amount": -1}, 403),
    ]
    assert {answer["code"] for answer in asked} == {"OPERATORS_ONLY"}


async def test_nobody_requests_in_anothers_name(house: House, rival: Visitor) -> None:
    body = {**rival.request_body(house), "customer_id": "C-acme"}
    refused = await rival.posts("/subscriptions", body, 422)
    assert (refused["code"], refused["field"]) == ("REQUEST_REFUSED", "customer_id")


async def test_keys_of_two_customers_never_meet(house: House, acme: Visitor, rival: Visitor) -> None:
    first, second = acme.request_body(house), rival.request_body(house)
    theirs = await acme.posts("/subscriptions", first, 201, key="order-1")
    mine = await rival.posts("/subscriptions", second, 201, key="order-1")
    assert theirs["subscription_id"] != mine["subscription_id"]
    assert await acme.posts("/subscriptions", first, 201, key="order-1") == theirs
    # Not even with the other's own body: the name is taken, as for everybody.
    refused = await rival.posts("/subscriptions", first, 409, key="order-2")
    assert refused["code"] == "NAME_TAKEN"


async def test_operators_see_both(operator: Visitor, rival: Visitor, theirs: str) -> None:
    assert (await operator.gets(f"/subscriptions/{theirs}"))["customer_id"] == "C-acme"
    listed = await operator.gets("/subscriptions", customer_id="C-acme", limit=200)
    assert theirs in [each["subscription_id"] for each in listed["items"]]
