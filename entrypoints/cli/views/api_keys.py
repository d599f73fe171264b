"""View of API keys."""

from collections.abc import Iterable

from rich.table import Table

from entrypoints.cli.views.formatting import format_time
from entrypoints.cli.views.layout import new_table
from starter.api_keys import ApiKey


def keys_table(keys: Iterable[ApiKey]) -> Table:
    table = new_table("Prefix", "Owner", "Label", "Created", "Expires", "Last used")
    for key in keys:
        table.add_row(
            key.prefix,
            key.customer_id or "operators",
            key.label,
            format_time(key.created_at),
            format_time(key.expires_at),
            format_time(key.last_used_at),
        )
    return table
