"""Schemathesis: every response conforms to the OpenAPI description, and none is an unhandled error.

A few cases per operation in the small size, more than 2,000 cases in the large size.
"""

import asyncio
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.api_client import ApiClient, ApiServer
from support.service_env import ServiceEnv
from support.sizes import SIZES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


async def test_every_response_conforms_to_the_schema(
    service_env: ServiceEnv, api_server: ApiServer, acme: ApiClient, operator: ApiClient
) -> None:
    active_id = await acme.requests(service_env)
    statuses = await asyncio.to_thread(
        _run_cases,
        api_server.url,
        [visitor.http.headers["authorization"] for visitor in (acme, operator)],
        active_id,
    )
    print(f"{statuses.total():,} cases: {dict(sorted(statuses.items()))}")
    # Requests passed authentication and parsing and reached the business rules.
    assert {200, 404, 422} <= statuses.keys()


def _cases(operation: Any) -> Any:
    """Return valid cases, and invalid ones where the operation has any input."""
    valid, invalid = (
        operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )
    return (
        valid | invalid
        if operation.method != "get" or operation.path_parameters or operation.query
        else valid
    )


def _run_cases(url: str, keys: list[str], active_id: str) -> Counter[int]:
    """Return the number of responses by status. Half of the cases use an existing subscription."""
    schema: Any = schemathesis.openapi.from_url(f"{url}/openapi.json")
    statuses: Counter[int] = Counter()
    for operation in (found.ok() for found in schema.get_all_operations()):

        @settings(
            max_examples=SIZES.api_cases,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=_cases(operation))
        def check_operation(case: Any) -> None:
            number = statuses.total()
            # The event stream of an active subscription never ends.
            if number % 2 and "subscription_id" in case.path_parameters and not case.path.endswith("/events"):
                case.path_parameters["subscription_id"] = active_id
            answer = case.call(base_url=url, headers={"Authorization": keys[number % 3 == 0]}, timeout=60)
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        check_operation()
    return statuses
