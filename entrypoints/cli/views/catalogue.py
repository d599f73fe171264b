"""Views of the catalogue and of the preview of a new version."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from adapters.translation import Language, Translator
from entrypoints.cli.views.formatting import NONE, format_amount
from entrypoints.cli.views.layout import new_table

if TYPE_CHECKING:
    from subscription.catalogue import Catalogue
    from subscription.catalogue_preview import PreviewSummary


def catalogue_view(catalogue: "Catalogue", language: Language) -> RenderableType:
    return Group(*_catalogue_parts(catalogue, Translator(language)))


def _catalogue_parts(catalogue: "Catalogue", translator: Translator) -> Iterator[RenderableType]:
    yield f"Version {catalogue.version}, in force from {catalogue.effective_from}."
    prices = ("List (KRW)", "Annual (KRW)")
    table = new_table("Plan", "Title", *prices, "Functions", right=prices)
    for plan_id in catalogue.plans_by_rank:
        plan = catalogue.plans[plan_id]
        functions = translator.localized_list(plan.functions) if plan.functions else ()
        table.add_row(
            plan_id,
            plan.title,
            format_amount(plan.list),
            format_amount(plan.annual),
            "\n".join(functions) or NONE,
        )
    yield table
    table = new_table("Term", "Version", "Required", "Title")
    for term in catalogue.terms:
        title = translator.localized(term.title) if term.title else NONE
        table.add_row(term.id, term.version, "yes" if term.required else "no", title)
    yield table


def preview_view(summary: "PreviewSummary", file: str) -> RenderableType:
    return Group(*_preview_parts(summary, file))


def _preview_parts(summary: "PreviewSummary", file: str) -> Iterator[RenderableType]:
    difference = summary.after - summary.before
    yield (
        f"Version {summary.version}, announced on {summary.announced_on}, in force from "
        f"{summary.effective_from}.\n"
        f"{summary.subscriptions:,} subscriptions from {summary.as_of} to {summary.until}: "
        f"{summary.paying_more:,} pay more, {summary.paying_less:,} pay less, "
        f"{summary.on_withdrawn_plans:,} have a plan that is no longer sold.\n"
        f"Charges: {summary.before:,} KRW before, {summary.after:,} KRW after, {difference:+,} KRW."
    )
    if any(month.before != month.after for month in summary.by_plan_and_month):
        yield _months_table(summary)
    if summary.largest_rises:
        yield _rises_table(summary)
    if summary.notices:
        yield _notices_table(summary)
    yield "\n" + (
        f"Version {summary.version} is already published."
        if summary.is_published
        else f"To publish exactly this: worksub catalogue publish {file} --preview {summary.preview}"
    )


def _months_table(summary: "PreviewSummary") -> Table:
    amounts = ("Before (KRW)", "After (KRW)", "Difference")
    table = new_table("Month", "Plan", *amounts, right=amounts)
    for month in summary.by_plan_and_month:
        if month.before != month.after:
            table.add_row(
                f"{month.month:%Y-%m}",
                month.plan,
                format_amount(month.before),
                format_amount(month.after),
                f"{month.after - month.before:+,}",
            )
    return table


def _rises_table(summary: "PreviewSummary") -> Table:
    amounts = ("Month before", "Month after", "Difference")
    table = new_table(
        "Largest rises", "Customer", "Plan", "Members", "From", *amounts, right=("Members", *amounts)
    )
    for effect in summary.largest_rises:
        change = effect.change
        table.add_row(
            effect.subscription_id,
            effect.customer_id,
            effect.plan,
            f"{effect.members:,}",
            str(change.date) if change else NONE,
            format_amount(change.monthly_before) if change else NONE,
            format_amount(change.monthly_after) if change else NONE,
            f"{effect.difference:+,}",
        )
    return table


def _notices_table(summary: "PreviewSummary") -> Table:
    """Return the emails by month and threshold; the JSON document has them by day."""
    months: Counter[tuple[str, int]] = Counter()
    for notice in summary.notices:
        months[f"{notice.due_on:%Y-%m}", -notice.threshold_days] += notice.notices
    table = new_table("Emails about rises", "Days before", "Emails", right=("Days before", "Emails"))
    for (month, days), number in sorted(months.items()):
        table.add_row(month, f"{-days}", f"{number:,}")
    return table
