"""The examples in the OpenAPI description: valid for their schemas and for the business rules."""

from typing import Any

import pytest
from support.api_client import api_description
from support.api_examples import written
from support.markdown_pages import ROOT

from entrypoints.api.examples import COMMANDS, REQUEST
from subscription.commands import Command, parse_command
from subscription.request import Request
from subscription.validation import parse_strict


def test_response_examples_match_the_rules() -> None:
    stored = (ROOT / "entrypoints" / "api" / "examples.json").read_text(encoding="utf-8")
    assert stored == written(), "run `make openapi` to regenerate it"


def test_request_examples_are_accepted() -> None:
    parse_strict(Request, {**REQUEST, "request_id": "order-4711"})
    for name, body in COMMANDS.items():
        assert isinstance(parse_command(name, body), Command)


def _operations() -> list[Any]:
    paths = api_description()["paths"]
    return [
        pytest.param(operation, id=f"{method} {path}")
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1")
    ]


@pytest.mark.parametrize("operation", _operations())
def test_operation_documents_security_and_errors(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["security"] == [{"ApiKey": []}]
    assert {"401", "429", "500", "503"} <= operation["responses"].keys()
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            assert answer["content"]["application/problem+json"]["examples"]
