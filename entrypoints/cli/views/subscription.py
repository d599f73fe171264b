"""Views of subscriptions: status, timeline, forecast, results of commands."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.billing import ledger_table
from entrypoints.cli.views.formatting import NONE, format_amount, format_deadline, format_time, styled_state
from entrypoints.cli.views.layout import BreakableIdentifier, FirstThatFits, new_table
from subscription.attention import ShownAttention
from subscription.business_calendar import KST
from subscription.labels import renewal_label, reservation_label
from subscription.messages import PLAIN, format_message
from subscription.state import Access

if TYPE_CHECKING:
    from starter.subscription_summary import SubscriptionSummary
    from subscription.domain_verification import VerificationRecords
    from subscription.entitlements import Entitlements
    from subscription.erasure_certificate import ErasureCertificate
    from subscription.forecast import UpcomingEvent
    from subscription.refusals import Problem
    from subscription.status import Status
    from subscription.timeline import Answer, RecordedEntry, TimelineEntry


def answer_view(answer: "Answer") -> RenderableType:
    """Return the effects of an accepted command."""
    parts: list[RenderableType] = [Text(answer.message)]
    if answer.ledger:
        parts += [ledger_table(answer.ledger), Text()]
    parts.append(Text.assemble("State: ", styled_state(answer.state), f", access: {answer.access}."))
    return Group(*parts)


def format_attention(attention: ShownAttention, now: datetime) -> str:
    """Return the reason for attention, its time, and its age unless the time is in the future."""
    if attention.since is None:
        return attention.text
    since = f"{attention.text}, since {format_time(attention.since)}"
    return f"{since} ({format_age(now - attention.since)} ago)" if now >= attention.since else since


def format_age(age: timedelta) -> str:
    """Return a duration in its largest unit, as "3 hours"."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if number := int(age.total_seconds()) // seconds:
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    return "less than a minute"


def status_view(
    status: "Status",
    certificates: "Sequence[ErasureCertificate]" = (),
    attention: ShownAttention | None = None,
) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Subscription", status.subscription_id)
    table.add_row("Customer", status.customer_id)
    table.add_row("State", styled_state(status.state))
    table.add_row("Access", status.access + _access_advice(status))
    table.add_row("Account", status.account or NONE)
    table.add_row("Plan", f"{status.plan}, {PLAIN.members(status.members)}")
    if contract := status.contract:
        table.add_row("Contract", f"{contract.term}, {contract.first_day} to {contract.end_day}")
        table.add_row("Renewal", format_message(renewal_label(status.renewal)))
    else:
        table.add_row("Trial ends", format_time(status.trial_ends_at))
        table.add_row("Grace ends", format_time(status.grace_ends_at))
    table.add_row("Reserved", format_message(reservation_label(status.reservation)))
    table.add_row("Next", format_deadline(status.next))
    if attention:
        words = format_attention(attention, datetime.now(KST))
        table.add_row("Needs attention", Text(words, style="red"))
        table.add_row("Next step", attention.advice)
    parts: list[RenderableType] = [table]
    if status.proofs:
        parts.append(verification_records_view(status.proofs))
    if certificates:
        parts.append(certificates_view(certificates))
    return Group(*parts)


def entitlements_view(granted: "Entitlements") -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Subscription", granted.subscription_id)
    table.add_row("State", styled_state(granted.state))
    table.add_row("Access", granted.access)
    table.add_row("Plan", granted.plan)
    table.add_row("Functions", ", ".join(granted.functions.en) if granted.functions else NONE)
    table.add_row("Seats", f"{granted.members_in_use:,} of {granted.seats:,} used")
    if granted.locked_members:
        table.add_row("Locked", f"{PLAIN.members(granted.locked_members)}, added last")
    return table


def _access_advice(status: "Status") -> str:
    if status.access is Access.RESTRICTED:
        return " (verify the domain)"
    if status.domain_lost and status.state.accepts_commands:
        return " (the domain was verified elsewhere first: rename the account)"
    return ""


def verification_records_view(proofs: "Iterable[VerificationRecords]") -> RenderableType:
    """Show the DNS records, one of which must be published. Each is one unwrapped line, for copying."""
    parts: list[RenderableType] = []
    for proof in proofs:
        parts.append(Text(f"To verify {proof.domain}, publish one of these records:"))
        for record in (
            f"{proof.txt_name} TXT {proof.txt_value}",
            f"{proof.cname_name} CNAME {proof.cname_target}",
            f"{proof.mx_name} MX {proof.mx_exchange}",
        ):
            parts.append(Text(f"  {record}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


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
