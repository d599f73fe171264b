"""The description of the API as a file: `python -m starter.api.openapi > docs/openapi.json`."""

import json

from starter.api.app import create_api


def described() -> str:
    """OpenAPI in JSON, one line for each thing, so that changes can be read."""
    return json.dumps(create_api().openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(described(), end="")
