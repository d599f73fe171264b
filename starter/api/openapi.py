"""The description of the API, and the schema of webhooks' data, as files of docs/.

Without an argument it prints the description; with `--event-schema` it prints the schema.
"""

import json
import sys

from starter.api.app import create_api
from starter.api.event_schema import event_schema


def described() -> str:
    """OpenAPI in JSON, one line for each thing, so that changes can be read."""
    return _written(create_api().openapi())


def event_schema_described() -> str:
    return _written(event_schema())


def _written(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(event_schema_described() if "--event-schema" in sys.argv else described(), end="")
