"""View of the findings of a reconciliation."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.formatting import NONE
from entrypoints.cli.views.layout import new_table

if TYPE_CHECKING:
    from subscription.reconciliation import ReportedFinding


def findings_table(findings: "Iterable[ReportedFinding]") -> Table:
    table = new_table("Finding", "Subscription", "Description", "Repaired")
    for finding in findings:
        repaired = Text("yes", style="green") if finding.repaired else Text("no", style="yellow")
        table.add_row(finding.code, finding.subscription_id or NONE, finding.message, repaired)
    return table
