"""Views of subscriptions: timeline, forecast, list, results of commands."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.billing import ledger_table
from entrypoints.cli.views.formatting import NONE, format_amount, format_deadline, format_time
from entrypoints.cli.views.layout import BreakableIdentifier, FirstThatFits, new_table, styled_state
from entrypoints.cli.views.status import verification_records_text
from subscription.messages import PLAIN

if TYPE_CHECKING:
    from starter.subscription_summary import SubscriptionSummary
    from subscription.domain_verification import VerificationRecords
    from subscription.erasure_certificate import ErasureCertificate
    from subscription.forecast import UpcomingEvent
    from subscription.refusals import Problem
    from subscription.timeline import Answer, RecordedEntry, TimelineEntry


def answer_view(answer: "Answer") -> RenderableType:
    """Return the effects of an accepted command."""
    parts: list[RenderableType] = [Text(answer.message)]
    if answer.ledger:
        parts += [ledger_table(answer.ledger), Text()]
    parts.append(Text.assemble("State: ", styled_state(answer.state), f", access: {answer.access}."))
    return Group(*parts)


def verification_records_view(proofs: "Iterable[VerificationRecords]") -> RenderableType:
    """Return the DNS records, one of which must be published. Each is one unwrapped line, for copying."""
    lines = verification_records_text(proofs).splitlines()
    return Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def timeline_table(entries: "Iterable[TimelineEntry]") -> Table:
    table = new_table("When (KST)", "Event", "State", "Description")
    for entry in entries:
        table.add_row(*_timeline_cells(entry))
    return table


def recorded_timeline_table(entries: "Iterable[RecordedEntry]") -> Table:
    """Return the timeline with the issuer of each command."""
    table = new_table("When (KST)", "Event", "State", "Description", "By")
    for entry in entries:
        issuer = f"{entry.by}, {entry.channel}" if entry.by else entry.channel
        table.add_row(*_timeline_cells(entry), issuer)
    return table


def _timeline_cells(entry: "TimelineEntry") -> tuple[RenderableType, ...]:
    event = BreakableIdentifier(entry.event)
    return f"{entry.at:%Y-%m-%d %H:%M}", event, styled_state(entry.state), entry.message


def upcoming_table(events: "Iterable[UpcomingEvent]") -> Table:
    table = new_table("When (KST)", "Event", "State", "KRW", "Description", right=("KRW",))
    for event in events:
        amount = sum(line.amount for line in event.ledger)
        table.add_row(
            f"{event.entry.at:%Y-%m-%d %H:%M}",
            BreakableIdentifier(event.entry.event),
            styled_state(event.entry.state),
            format_amount(amount) if amount else "",
            event.entry.message,
        )
    return table


def list_table(subscriptions: "Iterable[SubscriptionSummary]") -> RenderableType:
    """Return a table with one line per subscription, or several lines in a narrow terminal."""
    wide = new_table(
        *("Subscription", "Customer", "Account", "State", "Access", "Plan", "Members", "Term", "Next"),
        right=("Members",),
    )
    narrow = new_table("Subscription\nCustomer\nAccount", "State\nAccess", "Plan\nTerm", "Next")
    narrow.columns[0].no_wrap = True
    for row in subscriptions:
        state, term = styled_state(row.state), row.term or NONE
        account = row.account_name or NONE
        upcoming = format_deadline(row.deadline)
        wide.add_row(
            *(row.subscription_id, row.customer_id, account, state, row.access, row.plan),
            *(f"{row.members:,}", term, upcoming),
        )
        narrow.add_row(
            f"{row.subscription_id}\n{row.customer_id}\n{account}",
            Text.assemble(state, f"\n{row.access}"),
            f"{row.plan}, {PLAIN.members(row.members)}\n{term}",
            upcoming,
        )
    return FirstThatFits(wide, narrow)


def certificates_view(certificates: "Sequence[ErasureCertificate]") -> RenderableType:
    """Return the erased rows by table: first from the database, then from the workflow histories."""
    table = new_table("Erased", "Rows", right=("Rows",))
    for certificate in certificates:
        for name, count in certificate.rows.items():
            table.add_row(name, f"{count:,}")
    heading = f"Erasure certificate of {format_time(certificates[0].erased_at)}"
    return Group(Text(heading, style="bold"), table)


def problems_table(problems: "Iterable[Problem]") -> Table:
    table = new_table("Field", "Problem", "Code")
    for problem in problems:
        table.add_row(
            BreakableIdentifier(problem.field or ""), problem.message, BreakableIdentifier(problem.code)
        )
    return table


def remaining_data_table(remains: Iterable[tuple[str, int, int]]) -> Table:
    """Return the occurrences of data by place, before and after the erasure."""
    table = new_table("Found", "Before", "After", right=("Before", "After"))
    for place, before, after in remains:
        table.add_row(place, f"{before:,}", Text(f"{after:,}", style="red" if after else "green"))
    return table
