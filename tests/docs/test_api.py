"""docs/api.md, docs/webhooks.md and docs/openapi.json match the code."""

import re
from datetime import UTC, datetime
from typing import get_args

from standardwebhooks import Webhook
from support.api_client import api_description
from support.api_examples import SAMPLE_SECRET, webhook_sample
from support.markdown_pages import blocks, page, tables

from entrypoints.api.openapi import described, event_schema_described
from entrypoints.api.problem_details import ApiCode, status_of
from subscription.events import Event
from subscription.refusals import RefusalCode
from subscription.webhook_events import DeliveryState, event_type

API, WEBHOOKS = tables(page("docs/api.md")), tables(page("docs/webhooks.md"))


def test_openapi_file_matches_the_code() -> None:
    assert page("docs/openapi.json") == described(), "run `make openapi` to regenerate it"


def test_webhook_sample_is_a_real_delivery() -> None:
    """The page shows the signed bytes, and the library computes the same signature."""
    headers, body = webhook_sample()
    shown, sent = (block.text for block in blocks(page("docs/webhooks.md"), "http"))
    assert sent.rstrip("\n") == body
    assert shown == "".join(f"{name}: {value}\n" for name, value in headers.items())
    assert SAMPLE_SECRET in page("docs/webhooks.md")
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert (
        Webhook(SAMPLE_SECRET).sign(headers["webhook-id"], at, sent.rstrip("\n"))
        == headers["webhook-signature"]
    )


def test_event_schema_file_matches_the_code() -> None:
    assert page("docs/schemas/subscription-event.json") == event_schema_described(), "`make openapi`"


def test_operation_names_suit_generated_clients() -> None:
    description = api_description()
    operations = [each for path in description["paths"].values() for each in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert {"getSubscription", "listSubscriptions", "requestSubscription", "cancelSubscription"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert [each for each in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", each)] == []
    schemas = description["components"]["schemas"]
    assert [schema for schema in schemas if not re.fullmatch(r"([A-Z][a-z]+)+", schema)] == []
    assert {"SubscriptionStatus", "SubscriptionPage", "CancellationQuote", "SwitchToPaidBody"} <= set(schemas)
    assert {tag for operation in operations for tag in operation["tags"]} == {
        each["name"] for each in description["tags"]
    }
    segments = {part for path in description["paths"] for part in path.split("/") if not part.startswith("{")}
    assert [segment for segment in segments if not re.fullmatch(r"[a-z0-9-]*", segment)] == []


def test_unions_declare_a_discriminator() -> None:
    schemas = api_description()["components"]["schemas"]
    assert schemas["Reservation"]["discriminator"]["propertyName"] == "kind"
    for union in (schemas["Reservation"], schemas["InvoiceEntry"]):
        for member in union["discriminator"]["mapping"].values():
            assert "kind" in schemas[member.rpartition("/")[2]]["required"]
    assert set(schemas["ErrorCode"]["enum"]) == {*RefusalCode, *ApiCode}


def test_every_code_of_the_api_is_explained_with_its_status() -> None:
    [table] = [each for each in API if each.header[0] == "code of the API"]
    assert [(row[0], int(row[1])) for row in table.rows] == [(c, status_of(c).value) for c in ApiCode]


def test_documented_refusal_statuses_match_the_code() -> None:
    [table] = [each for each in API if each.header[0] == "status"]
    documented_codes = {name.strip("` ") for _, names in table.rows[:-1] for name in names.split(",")}
    assert documented_codes == {code for code in RefusalCode if status_of(code).value != 422}
    for status, names in table.rows[:-1]:
        assert {status_of(name.strip("` ")).value for name in names.split(",")} == {int(status)}


def test_every_event_is_in_the_catalogue() -> None:
    [table] = [each for each in WEBHOOKS if each.header[0] == "event"]
    kinds = [kind.model_fields["event"].default for kind in get_args(get_args(Event)[0])]
    assert [row[:2] for row in table.rows] == [(kind, event_type(kind)) for kind in kinds]


def test_every_state_of_a_delivery_is_explained() -> None:
    [table] = [each for each in WEBHOOKS if each.header[0] == "state"]
    assert table.column("state") == list(DeliveryState)
