"""Tables of what belongs to the HTTP API: its keys."""

from collections.abc import Iterable

from rich.table import Table

from starter.cli.tables import moment, table_of
from starter.keys import ApiKey


def keys_table(keys: Iterable[ApiKey]) -> Table:
    table = table_of("Prefix", "Whose", "For", "Since", "Until", "Last used")
    for key in keys:
        table.add_row(
            key.prefix,
            key.customer_id or "operators",
            key.label,
            moment(key.created_at),
            moment(key.ends_at),
            moment(key.last_used_at),
        )
    return table
