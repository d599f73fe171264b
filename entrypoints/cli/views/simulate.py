"""View of a simulated scenario."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from entrypoints.cli.views.billing import ledger_table
from entrypoints.cli.views.formatting import format_deadline
from entrypoints.cli.views.layout import BreakableIdentifier, new_table
from entrypoints.cli.views.subscription import timeline_table

if TYPE_CHECKING:
    from subscription.scenario import ScenarioResult


def scenario_view(document: "ScenarioResult") -> RenderableType:
    outcomes = new_table("When (KST)", "Command", "Outcome", "Answer")
    for outcome in document.outcomes:
        outcomes.add_row(
            f"{outcome.at:%Y-%m-%d %H:%M}",
            BreakableIdentifier(outcome.command),
            BreakableIdentifier(outcome.code or "accepted"),
            outcome.message,
        )
    final = document.final
    end = f"Final state: {final.state}, access: {final.access}"
    if final.next:
        end += f"; next, {format_deadline(final.next)}"
    parts: list[RenderableType] = [Text(document.name, style="bold")]
    if document.outcomes:
        parts.append(outcomes)
    parts.append(timeline_table(document.timeline))
    if document.ledger:
        parts.append(ledger_table(document.ledger))
    return Group(*parts, Text(f"\n{end}.\n"))
