"""Workspace exporter: the port to the data that the product keeps, and its PostgreSQL adapter (R37)."""

from collections.abc import Sequence
from typing import Protocol

from adapters.export_archive import RowSet
from adapters.postgres.pool import Connection
from adapters.postgres.row_sets import row_set

_WORKSPACE = """
    SELECT account_name, region, platform, plan, members, access, version
      FROM workspaces WHERE subscription_id = $1
"""
_MEMBERS = "SELECT member_id, name, number FROM members WHERE subscription_id = $1 ORDER BY number"


class WorkspaceExporter(Protocol):
    """Port to the product, which hands over what it keeps of a subscription."""

    async def row_sets(self, connection: Connection, subscription_id: str) -> Sequence[RowSet]:
        """Return the product's rows; each name becomes two files in the directory `product`.

        `connection` is in the transaction of the export. A product with its own database does not use it.
        """
        ...


class PostgresWorkspaceExporter:
    """Adapter for a product whose rows are in the same database: its workspace and its members."""

    async def row_sets(self, connection: Connection, subscription_id: str) -> Sequence[RowSet]:
        return [
            await row_set(connection, "workspace", _WORKSPACE, subscription_id),
            await row_set(connection, "members", _MEMBERS, subscription_id),
        ]
