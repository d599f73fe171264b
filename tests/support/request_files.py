"""Requests and request files for tests."""

import itertools
import json
from typing import Any

from .cli_runner import Cli

PASSWORD = "Correct4Horse"
_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


def request_fields(**replaced: Any) -> dict[str, Any]:
    """Return a valid request with unique names, with some fields replaced."""
    return {
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


def request_file(cli: Cli, **replaced: Any) -> str:
    """Write such a request into the directory of this `worksub`; return the file name."""
    name = f"{fresh('request')}.yaml"
    (cli.directory / name).write_text(json.dumps(request_fields(**replaced)))  # JSON is also YAML
    return name
