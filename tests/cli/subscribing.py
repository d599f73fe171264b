"""Requests as these tests make them."""

import itertools
import json
from typing import Any

from .running import Cli

PASSWORD = "Correct4Horse"
_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


def request_file(cli: Cli, **replaced: Any) -> str:
    """Writes a request as it should be, with some fields replaced; gives the file's name."""
    fields = {
        "request_id": fresh("request"),
        "customer_id": "customer-7",
        "region": "KR",
        "platform": "VPC",
        "plan": "basic",
        "members": 10,
        "agreed_terms": [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}],
        "account": {"group": fresh("acme")},
        "admin_id": "minji",
        "company_name": "Acme Trading",
        "company_phone": "02-1234-5678",
        **replaced,
    }
    name = f"{fresh('request')}.yaml"
    (cli.directory / name).write_text(json.dumps(fields))  # which is YAML too
    return name


async def subscribed(cli: Cli, **replaced: Any) -> str:
    """The id of a new subscription."""
    answer = await cli.json("request", request_file(cli, **replaced), "--password-stdin", typed=PASSWORD)
    return str(answer["subscription_id"])


async def subscribed_and_paid(cli: Cli, **replaced: Any) -> str:
    """The id of a new subscription with an annual contract from today."""
    subscription_id = await subscribed(cli, **replaced)
    await cli.json("switch", subscription_id, "--date", "today", "--term", "ANNUAL")
    return subscription_id
