"""Examples for the OpenAPI description.

Request examples are defined here. Response examples are in `examples.json`, which `make openapi` generates.
"""

import json
from importlib import resources
from typing import Any

from entrypoints.api.problem_details import late

SUBSCRIPTION_ID = "0b5b0f1e-6f53-5a3e-9d0e-6f5b1d1f8f0a"
TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]

REQUEST = {
    "customer_id": "C-1000482",
    "region": "KR",
    "platform": "VPC",
    "plan": "basic",
    "members": 10,
    "agreed_terms": TERMS,
    "account": {"group": "acme"},
    "admin_id": "admin",
    "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c29tZSBvdGhlciBzYWx0cw"
    "$QlJkKdNSw0H6Vtsx0Y2TFUDWqpbUFPKTFW1ZTtPVJGs",
    "company_name": "Acme Korea",
    "company_phone": "02-1234-5678",
    "contact_email": "it@acme.example",
}

COMMANDS: dict[str, dict[str, object]] = {
    "switch_to_paid": {"date": "2027-01-01", "term": "ANNUAL", "plan": "basic", "members": 10},
    "change_renewal_option": {"term": "ANNUAL", "members": 5},
    "upgrade": {"plan": "premium", "members": 20, "agreed_terms": TERMS},
    "cancel": {"date": "2027-07-01", "confirmation": "admin@acme"},
    "withdraw_reservation": {},
    "rename_account": {"group": "acme-korea"},
    "check_domain": {},
}

NEW_ENDPOINT = {
    "url": "https://hooks.acme.example/worksub",
    "events": ["SWITCHED_TO_PAID", "CANCELED"],
}

ADJUSTMENT = {
    "key": f"{SUBSCRIPTION_ID}/SERVICE_FEE/2027-03-15",
    "amount": -9483,
    "reason": "WRONG_CHARGE",
    "reference": "T-4711",
}

BULK = {
    "command": "upgrade",
    "argument": {"plan": "premium", "agreed_terms": TERMS},
    "select": {"query": "Plan = 'basic' AND SubscriptionState = 'ACTIVE'"},
}

_RESPONSES: dict[str, Any] = json.loads(
    resources.files("entrypoints.api").joinpath("examples.json").read_text(encoding="utf-8")
)


def example_response(name: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the example of a route's response, in the form of OpenAPI."""
    return {status: {"content": {"application/json": {"example": late(_RESPONSES[name])}}}}


def example_responses(name: str) -> dict[int | str, dict[str, Any]]:
    """Return the examples of a route with several kinds of response, in the form of OpenAPI."""
    examples = {title: {"value": late(response)} for title, response in _RESPONSES[name].items()}
    return {200: {"content": {"application/json": {"examples": examples}}}}
