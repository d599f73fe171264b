"""Generator of docs/openapi.json and of the event schema: `python -m entrypoints.api.openapi`.

Without an argument it prints the OpenAPI description; with `--event-schema` it prints the schema.
"""

import json
import sys

from entrypoints.api.app import create_api
from entrypoints.api.event_schema import event_schema


def described() -> str:
    """Return the OpenAPI description as indented JSON with sorted keys, for readable diffs."""
    return _written(create_api().openapi())


def event_schema_described() -> str:
    return _written(event_schema())


def _written(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(event_schema_described() if "--event-schema" in sys.argv else described(), end="")
