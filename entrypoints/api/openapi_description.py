"""OpenAPI description: that of FastAPI, extended with request bodies, schema names and error codes."""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from entrypoints.api.dependencies import IDEMPOTENCY_KEY, KEY_PATTERN
from entrypoints.api.problem_details import LATE, MEDIA_TYPE, ApiCode, ProblemDocument
from entrypoints.api.request_body import definitions_of
from entrypoints.api.routes.bulk import BulkStartBody
from subscription.adjustment import AdjustmentRequest
from subscription.commands import COMMANDS
from subscription.ledger import LineKind
from subscription.refusals import RefusalCode
from subscription.request import Request

VERSION = "1"
_REF = "#/components/schemas/"

_DESCRIPTION = """
Request NAVER WORKS subscriptions, change them, and read their status, ledger, invoices and events.
An API key belongs to one customer or to the operators of the service. To a customer, the subscriptions of
other customers do not exist.

- Idempotency: every write takes an `Idempotency-Key`. Repeating a key with the same body returns the original
  response.
- Errors: problem details (RFC 9457) with a stable `code`, a message in `detail`, and the `field`.
- Pagination: every list has `items` and `next`. `next` is the `cursor` of the following page, `null` on the
  last page.
- Rate limits: every response has the headers `RateLimit` and `RateLimit-Policy`.
- Dates are calendar dates in Korea, periods are half-open, and amounts are whole KRW before VAT.
"""

_TAGS = {
    "Requests": "Catalogue, name availability and subscription requests (R1-R9).",
    "Commands": "Changes to a subscription (R10-R29).",
    "Queries": "Status, timeline, ledger and quotes of one subscription, also after its erasure.",
    "Contact email": "The second recipient of a subscription's notices (R8).",
    "Lists": "Subscriptions, events, invoices and notices, with pagination.",
    "Webhooks": "Webhook endpoints and their deliveries (docs/webhooks.md).",
    "Operators": "Adjustments, journal, reconciliation reports, bulk runs. They require an operator key.",
    "Health": "Probes for load balancers. They need no key.",
}

_CODES = "Stable error codes. docs/api.md and docs/errors.md explain them."

_NAMES = {
    "Answer": "CommandResult",
    "Delivery": "WebhookDelivery",
    "DeliveryState": "WebhookDeliveryState",
    "Endpoint": "WebhookEndpoint",
    "EndpointSecret": "WebhookEndpointSecret",
    "EndpointStatus": "WebhookEndpointStatus",
    "CurrentCatalogue": "Catalogue",
    "OutboxNotice": "Notice",
    "LinePart": "LedgerLinePiece",
    "Problem": "FieldProblem",
    "ProblemDocument": "Problem",
    "ReportedFinding": "Finding",
    "RequestAnswer": "RequestResult",
    "State": "SubscriptionState",
    "Status": "SubscriptionStatus",
    "ExplanationStep": "CalculationStep",
    "Term": "TermOfService",
    "NamedFilterParam": "SavedSearch",
    "Page_BulkResult_": "BulkResultPage",
    "Page_BulkRun_": "BulkRunPage",
    "Page_Adjustment_": "AdjustmentPage",
    "Page_UpcomingEvent_": "UpcomingEventPage",
    "Page_ErasureCertificate_": "ErasureCertificatePage",
    "Page_CustomerEvent_": "EventPage",
    "CustomerEvent": "Event",
    "Page_Delivery_": "WebhookDeliveryPage",
    "Page_Endpoint_": "WebhookEndpointPage",
    "Queued": "ReplayResult",
    "Page_Explanation_": "ExplanationPage",
    "Page_Invoice_": "InvoicePage",
    "Page_LedgerLine_": "LedgerPage",
    "Page_SubscriptionSummary_": "SubscriptionPage",
    "Page_OutboxNotice_": "NoticePage",
    "Page_ReportedFinding_": "FindingPage",
    "Page_Term_": "TermOfServicePage",
    "Page_RecordedEntry_": "TimelinePage",
    "RecordedEntry": "RecordedTimelineEntry",
}
"""Public schema names of classes whose own names would be ambiguous in the API."""

_HEADERS: dict[str, Any] = {
    "RateLimit": {
        "description": "Rate limit: `r` requests remain; the limit resets in `t` seconds.",
        "schema": {"type": "string", "examples": ['"key";r=598;t=42']},
    },
    "RateLimit-Policy": {
        "description": "Rate limit policy applied to this request: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"key";q=600;w=60']},
    },
    "Idempotent-Replayed": {
        "description": "`true` if this is the original response to a repeated idempotency key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {
        "description": "Entity tag of this response, for `If-None-Match`.",
        "schema": {"type": "string", "examples": ['"0123456789abcdef0123456789abcdef"']},
    },
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "`ETag` of an earlier response. If it is still current, the response is 304.",
    "schema": {"type": "string"},
}

_ACCOUNT_NAME: dict[str, Any] = {
    "GroupName": {
        "type": "object",
        "description": "Account with a group name (R4).",
        "properties": {"group": {"type": "string", "examples": ["acme"]}},
        "required": ["group"],
        "additionalProperties": False,
    },
    "DomainName": {
        "type": "object",
        "description": "Account with a domain name, whose ownership must be verified (R4, R11).",
        "properties": {"domain": {"type": "string", "examples": ["acme.co.kr"]}},
        "required": ["domain"],
        "additionalProperties": False,
    },
    "AccountName": {
        "description": "Group name or domain name (R4).",
        "oneOf": [{"$ref": f"{_REF}GroupName"}, {"$ref": f"{_REF}DomainName"}],
    },
}


def describe(api: FastAPI) -> dict[str, Any]:
    """Return the description as OpenAPI 3.1."""
    found = get_openapi(
        title="worksub",
        version=VERSION,
        summary="The subscription lifecycle of NAVER WORKS on NAVER Cloud Platform",
        description=_DESCRIPTION,
        routes=api.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        servers=[{"url": "/", "description": "The server that serves this description"}],
        contact={"name": "The operators of this installation"},
    )
    schemas: dict[str, Any] = found["components"]["schemas"]
    schemas |= definitions_of(Request, AdjustmentRequest, BulkStartBody, *COMMANDS.values())
    problem = ProblemDocument.model_json_schema(ref_template=_REF + "{model}", mode="serialization")
    schemas |= {**problem.pop("$defs"), "ProblemDocument": problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= {
        "ErrorCode": {
            "type": "string",
            "enum": sorted({*RefusalCode, *ApiCode}),
            "description": _CODES,
        }
    }
    problem["properties"]["code"] = {"$ref": f"{_REF}ErrorCode"}
    schemas["Problem"]["properties"]["code"] = {"$ref": f"{_REF}RefusalCode"}
    for operation in _operations(found):
        _correct(operation)
        _name_body(operation, schemas)
    _complete_answers(found)
    _describe_headers(found)
    _discriminate(schemas)
    schemas |= _ACCOUNT_NAME
    return _renamed(found)


def _describe_headers(found: dict[str, Any]) -> None:
    """Add the headers of all responses under `/v1`, and those of reads and writes."""
    found["components"]["headers"] = _HEADERS
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/v1/"):
                continue
            for status, response in operation["responses"].items():
                names = ["RateLimit", "RateLimit-Policy"]
                if method == "post" and status < "300" and _takes_key(operation):
                    names.append("Idempotent-Replayed")
                if method == "get" and "application/json" in response.get("content", {}):
                    names.append("ETag")
                response.setdefault("headers", {}).update(
                    {name: {"$ref": f"#/components/headers/{name}"} for name in names}
                )
            if method == "get" and "ETag" in operation["responses"]["200"]["headers"]:
                operation.setdefault("parameters", []).append(dict(_IF_NONE_MATCH))
                operation["responses"]["304"] = {
                    "description": "Not Modified: the response that the client has is current.",
                    "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
                }


def _takes_key(operation: dict[str, Any]) -> bool:
    return any(parameter["name"] == IDEMPOTENCY_KEY for parameter in operation.get("parameters", ()))


def _operations(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in found["paths"].values():
        yield from path.values()


def _correct(operation: dict[str, Any]) -> None:
    """Correct parts that FastAPI generates wrongly: 422 responses, nullable parameters, security."""
    unreadable = operation["responses"].get("422", {})
    if MEDIA_TYPE not in unreadable.get("content", {}):
        operation["responses"].pop("422", None)
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == IDEMPOTENCY_KEY:
            parameter |= {"required": True, "schema": {"type": "string", "pattern": KEY_PATTERN}}
        schema = parameter["schema"]
        # An optional parameter can be omitted, but not sent as null.
        types = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
        if len(types) == 1:
            del schema["anyOf"]
            schema |= types[0]
    operation.setdefault("security", [])


def _name_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Move the request body of an operation to the components, under a name derived from the operation."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        # Two operations, request and check, share the body `Request`.
        title = schema["title"] if schema["title"] == "Request" else operation["operationId"]
        name = f"{title[0].upper()}{title[1:]}Body"
        content["schema"] = {"$ref": f"{_REF}{name}"}
        schemas[name] = schema | {"title": name}
        for field in schema["properties"].values():
            if field.get("default", ...) is None:
                # Code generators treat a property with a default as required.
                del field["default"]
        if {"group", "domain"} <= schema["properties"].keys():
            schemas[name] = _one_name_of(schema) | {"title": name}


def _one_name_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a body that has either `group` or `domain`, and its other properties."""
    others = {name: field for name, field in schema["properties"].items() if name not in ("group", "domain")}
    return {
        "description": schema["description"],
        "oneOf": [
            {
                "type": "object",
                "title": f"By{kind.capitalize()}",
                "properties": {kind: {"type": "string"}, **others},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind in ("group", "domain")
        ],
    }


def _complete_answers(found: dict[str, Any]) -> None:
    """Mark the properties of response schemas as required, because the API omits only missing texts."""
    schemas = found["components"]["schemas"]
    unseen = [operation["responses"] for operation in _operations(found)]
    seen: set[str] = set()
    while unseen:
        for name in set(_referred(unseen.pop())) - seen:
            seen.add(name)
            schema = schemas[name]
            unseen.append(schema)
            required = []
            for key, field in schema.get("properties", {}).items():
                field.pop("default", None)
                if not field.pop("x-omitted-if-null", False):
                    required.append(key)
            if required:
                schema["required"] = required


def _referred(node: Any) -> Iterator[str]:
    """Yield the names of the schemas that a part of the description references."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_REF)
        for value in node.values():
            yield from _referred(value)
    elif isinstance(node, list):
        for item in node:
            yield from _referred(item)


def _discriminate(schemas: dict[str, Any]) -> None:
    """Name the union schemas, and add their discriminators."""
    reservation = schemas["Status"]["properties"]["reservation"]
    schemas["Reservation"] = {"title": "Reservation", **reservation["anyOf"][0]}
    reservation["anyOf"][0] = {"$ref": f"{_REF}Reservation"}
    schemas["InvoiceEntry"] = {
        "title": "InvoiceEntry",
        "oneOf": [{"$ref": f"{_REF}InvoicedLine"}, {"$ref": f"{_REF}InvoicedAdjustment"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {
                **{kind.value: f"{_REF}InvoicedLine" for kind in LineKind},
                "ADJUSTMENT": f"{_REF}InvoicedAdjustment",
            },
        },
    }
    schemas["InvoicedSubscription"]["properties"]["entries"]["items"] = {"$ref": f"{_REF}InvoiceEntry"}


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the schema names of `_NAMES`, without the generated titles."""

    def renamed(node: Any) -> Any:
        if isinstance(node, list):
            return [renamed(item) for item in node]
        if isinstance(node, str) and node.startswith(_REF):
            name = node.removeprefix(_REF)
            return _REF + _NAMES.get(name, name)
        if not isinstance(node, dict):
            return node
        return {
            key: renamed(value) for key, value in node.items() if key != "title" or not isinstance(value, str)
        }

    schemas = found["components"].pop("schemas")
    title = found["info"]["title"]
    description: dict[str, Any] = renamed({key: value for key, value in found.items() if key != "paths"})
    description["info"]["title"] = title
    # `renamed` would remove the property `title` from examples of problem details.
    description["paths"] = _refs_renamed(found["paths"])
    description["components"]["schemas"] = {
        _NAMES.get(name, name): renamed(schema) for name, schema in sorted(schemas.items())
    }
    return description


def _refs_renamed(node: Any) -> Any:
    """Return a part of the paths with the schema names of `_NAMES`, and with its examples decoded."""
    if isinstance(node, list):
        return [_refs_renamed(item) for item in node]
    if isinstance(node, str) and node.startswith(_REF):
        name = node.removeprefix(_REF)
        return _REF + _NAMES.get(name, name)
    if isinstance(node, str) and node.startswith(LATE):
        return json.loads(node.removeprefix(LATE))
    return {key: _refs_renamed(value) for key, value in node.items()} if isinstance(node, dict) else node
