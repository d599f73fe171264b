"""Request body parsing and its OpenAPI schema."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from entrypoints.api.problem_details import MESSAGES, ApiCode, ApiError
from subscription.model import Frozen
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError, refusal

REF_TEMPLATE = "#/components/schemas/{model}"


async def parse_json_body(request: Request) -> Any:
    """Return the parsed JSON body, of any type. Duplicate names and non-JSON numbers are refused."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(ApiCode.UNSUPPORTED_MEDIA_TYPE, MESSAGES[ApiCode.UNSUPPORTED_MEDIA_TYPE])
    try:
        return json.loads(
            await request.body(), object_pairs_hook=_unique_names, parse_constant=_no_json_number
        )
    except (ValueError, RecursionError):
        raise ApiError(ApiCode.MALFORMED_JSON, MESSAGES[ApiCode.MALFORMED_JSON]) from None


JsonBodyDep = Annotated[Any, Depends(parse_json_body)]


def require_object(body: Any, *, apart_from: Iterable[str] = ()) -> Mapping[str, Any]:
    """Return the body if it is a JSON object without the fields `apart_from`, which callers cannot set."""
    if not isinstance(body, dict):
        raise refusal(RefusalCode.INVALID_ARGUMENT, reason="NOT_AN_OBJECT")
    if unknown := [name for name in apart_from if name in body]:
        problems = tuple(Problem.of(RefusalCode.UNKNOWN_FIELD, name) for name in unknown)
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems))
    return body


def body_schema(
    shape: type[Frozen],
    example: Mapping[str, Any],
    *,
    without: Iterable[str] = (),
    optional: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the OpenAPI request body of a route: the schema of the model without the hidden fields."""
    schema = shape.model_json_schema(ref_template=REF_TEMPLATE, mode="validation")
    schema.pop("$defs", None)
    hidden, left_out = set(without), {*without, *optional}
    schema["properties"] = {
        name: field for name, field in schema.get("properties", {}).items() if name not in hidden
    }
    schema["required"] = [name for name in schema.get("required", ()) if name not in left_out]
    schema["additionalProperties"] = False
    if not schema["required"]:
        del schema["required"]
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": dict(example)}},
        }
    }


def definitions_of(*shapes: type[Frozen]) -> dict[str, Any]:
    """Return the schemas that the schemas of these models reference."""
    definitions: dict[str, Any] = {}
    for shape in shapes:
        definitions |= shape.model_json_schema(ref_template=REF_TEMPLATE).get("$defs", {})
    return definitions


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        raise ValueError
    return parsed


def _no_json_number(_: str) -> Any:
    raise ValueError
