"""Views of bulk runs and of their dry runs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from entrypoints.cli.views.formatting import NONE, format_amount, format_time
from entrypoints.cli.views.layout import new_table

if TYPE_CHECKING:
    from starter.bulk import DryRun
    from subscription.bulk import BulkEffect, BulkPreview, BulkResult, BulkRun

NOTHING_TO_START = "No subscription accepts this command, so there is nothing to start."
_SHOWN = 20
"""Subscriptions in the view of a dry run; `--json` has all of them."""
_AMOUNTS = ("Month before", "Month after", "Charge")


def dry_run_view(dry_run: "DryRun", *, how_to_start: bool) -> RenderableType:
    return Group(*_dry_run_parts(dry_run, how_to_start))


def _dry_run_parts(dry_run: "DryRun", how_to_start: bool) -> Iterator[RenderableType]:
    shown = dry_run.summary
    yield (
        f"Dry run of {shown.command} for {_number_of(shown.subscriptions, 'subscription')} of "
        f"{_number_of(shown.customers, 'customer')}. Nothing was started."
    )
    yield _sums(
        {
            "Accepted": f"{shown.accepted:,}",
            "Refused": ", ".join(f"{code} {number:,}" for code, number in shown.refused.items()) or "0",
        },
        shown,
    )
    # The refused ones come first: they are few, and an operator looks for them.
    if dry_run.effects:
        yield _effects_table(sorted(dry_run.effects, key=lambda effect: effect.code is None))
    if len(dry_run.effects) > _SHOWN:
        yield f"and {len(dry_run.effects) - _SHOWN:,} more: see --json."
    if not shown.accepted:
        yield f"\n{NOTHING_TO_START}"
    elif how_to_start:
        confirm = f" --confirm '{shown.confirmation}'" if shown.confirmation else ""
        yield f"\nTo start exactly this today, replace --dry-run by --preview {shown.preview}{confirm}"


def _number_of(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _effects_table(effects: "Sequence[BulkEffect]") -> Table:
    table = new_table("Subscription", "Customer", "Result", *_AMOUNTS, right=_AMOUNTS)
    for effect in islice(effects, _SHOWN):
        table.add_row(
            effect.subscription_id,
            effect.customer_id,
            effect.code or "ACCEPTED",
            format_amount(effect.monthly_before),
            format_amount(effect.monthly_after),
            format_amount(effect.charge),
        )
    return table


def run_view(run: "BulkRun") -> RenderableType:
    table = _sums(
        {
            "Run": run.run_id,
            "Command": run.command,
            "State": run.state,
            "Started": format_time(run.started_at) + (f" by {run.issued_by}" if run.issued_by else ""),
            "Ended": format_time(run.finished_at),
            "Done": f"{run.subscriptions - run.waiting:,} of {run.subscriptions:,}, {run.rate} a second",
            "Accepted": f"{run.accepted:,}",
            "Refused": f"{run.refused:,}",
            "Unanswered": f"{run.unanswered:,}",
        },
        run,
    )
    return Group(table, f"Results: worksub bulk-runs results {run.run_id}")


def _sums(rows: Mapping[str, str], sums: "BulkPreview | BulkRun") -> Table:
    """Return a table of these rows, with the amounts of the accepted subscriptions."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows.items():
        table.add_row(name, value)
    difference = sums.monthly_after - sums.monthly_before
    table.add_row(
        "Monthly fees", f"{sums.monthly_before:,} KRW → {sums.monthly_after:,} KRW ({difference:+,} KRW)"
    )
    table.add_row("Early termination", f"{sums.charge:,} KRW")
    return table


def runs_table(runs: "Sequence[BulkRun]") -> Table:
    numbers = ("Accepted", "Refused", "Waiting")
    table = new_table("Run", "Command", "State", "Started", *numbers, right=numbers)
    for run in runs:
        table.add_row(
            run.run_id,
            run.command,
            run.state,
            format_time(run.started_at),
            f"{run.accepted:,}",
            f"{run.refused + run.unanswered:,}",
            f"{run.waiting:,}",
        )
    return table


def results_view(results: "Sequence[BulkResult]", next_after: int | None) -> RenderableType:
    table = new_table("No.", "Subscription", "Customer", "Result", *_AMOUNTS, right=("No.", *_AMOUNTS))
    for result in results:
        table.add_row(
            f"{result.position}",
            result.subscription_id,
            result.customer_id,
            " ".join(filter(None, (result.outcome, result.code))) or NONE,
            format_amount(result.monthly_before),
            format_amount(result.monthly_after),
            format_amount(result.charge),
        )
    more = [f"There are more: add --after {next_after}."] if next_after is not None else []
    return Group(table, *more) if results else Group("No results found.")
