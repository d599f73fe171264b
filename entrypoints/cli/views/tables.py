"""Rich tables of results."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.layout import BorderlessTable, BreakableIdentifier, FirstThatFits
from subscription.attention import ShownAttention
from subscription.business_calendar import KST
from subscription.labels import deadline_label, renewal_label, reservation_label
from subscription.ledger import LineKind
from subscription.messages import PLAIN, format_message
from subscription.state import Access, State

if TYPE_CHECKING:
    from starter.schedules import ScheduleStatus
    from starter.subscription_summary import SubscriptionSummary
    from subscription.adjustment import Adjustment
    from subscription.deadlines import Deadline
    from subscription.domain_verification import VerificationRecords
    from subscription.explain import Explanation
    from subscription.forecast import ChangeQuote, Quote, UpcomingEvent
    from subscription.invoice import CorrectedInvoice, Invoice
    from subscription.ledger import LedgerLine
    from subscription.notice_outbox import OutboxNotice
    from subscription.reconciliation import ReportedFinding
    from subscription.refusals import Problem
    from subscription.scenario import ScenarioResult
    from subscription.status import Status
    from subscription.timeline import Answer, ErasureCertificate, TimelineEntry

_NONE = "-"
_STATE_STYLES = {
    State.TRIAL: "cyan",
    State.ACTIVE: "green",
    State.SUSPENDED: "yellow",
    State.CANCELED: "red",
    State.ERASED: "dim",
    State.REJECTED: "red",
}


def format_time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} KST" if at else _NONE


def format_amount(amount: int) -> str:
    return f"{amount:,}"


def styled_state(state: str) -> Text:
    return Text(state, style=_STATE_STYLES.get(State(state), ""))


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
    table.add_row(
        "Access", status.access + (" (verify the domain)" if status.access is Access.RESTRICTED else "")
    )
    table.add_row("Account", status.account or _NONE)
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


def format_deadline(deadline: "Deadline | None") -> str:
    if deadline is None:
        return _NONE
    return f"{format_time(deadline.at)}: {format_message(deadline_label(deadline))}"


def verification_records_view(proofs: "Iterable[VerificationRecords]") -> RenderableType:
    """Show the DNS records, one of which must be published. Each is one unwrapped line, for copying."""
    parts: list[RenderableType] = []
    for proof in proofs:
        parts.append(Text(f"To verify {proof.domain}, publish one of these records:"))
        for record in (
            f"{proof.txt_name} TXT {proof.txt_value}",
            f"{proof.cname_name} CNAME {proof.cname_target}",
        ):
            parts.append(Text(f"  {record}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def timeline_table(entries: "Iterable[TimelineEntry]") -> Table:
    table = new_table("When (KST)", "Event", "State", "Description")
    for entry in entries:
        table.add_row(
            f"{entry.at:%Y-%m-%d %H:%M}",
            BreakableIdentifier(entry.event),
            styled_state(entry.state),
            entry.message,
        )
    return table


def ledger_table(lines: "Iterable[LedgerLine]") -> Table:
    """Return ledger lines with their sum. Periods are half-open: `to` is the first day not charged."""
    lines = list(lines)
    table = new_table("Charge", "From", "To", "Plan", "Members", "KRW", "Posted", right=("Members", "KRW"))
    table.show_footer = bool(lines)
    table.columns[0].footer = "Sum"
    table.columns[5].footer = format_amount(sum(line.amount for line in lines))
    for line in lines:
        table.add_row(
            BreakableIdentifier(line.kind),
            str(line.first_day),
            str(line.end_day),
            "\n".join(rate.plan for rate in line.rates),
            "\n".join(f"{rate.members:,}" for rate in line.rates),
            format_amount(line.amount),
            f"{line.effective_at:%Y-%m-%d}",
        )
    return table


def adjustments_table(adjustments: "Iterable[Adjustment]") -> Table:
    table = new_table("Adjustment", "Corrects", "Reason", "Reference", "KRW", "Created (KST)", right=("KRW",))
    for adjustment in adjustments:
        _, _, name = adjustment.key.rpartition("/")
        table.add_row(
            name,
            BreakableIdentifier(f"{adjustment.corrected.kind}/{adjustment.corrected.first_day}"),
            BreakableIdentifier(adjustment.reason),
            adjustment.reference,
            format_amount(adjustment.amount),
            f"{adjustment.effective_at:%Y-%m-%d %H:%M}",
        )
    return table


def invoices_table(invoices: "Iterable[Invoice]") -> Table:
    amounts = ("Supply (KRW)", "VAT (KRW)", "Total (KRW)")
    table = new_table("Number", "Kind", "Customer", "Month", "Issued", *amounts, right=amounts)
    for invoice in invoices:
        table.add_row(
            invoice.number,
            invoice.kind,
            invoice.customer_id,
            f"{invoice.month:%Y-%m}",
            str(invoice.issued_on),
            format_amount(invoice.supply_amount),
            format_amount(invoice.vat_amount),
            format_amount(invoice.total),
        )
    return table


def invoice_view(invoice: "Invoice") -> RenderableType:
    """Return an invoice with its entries. Periods are inclusive: the second date is the last day charged."""
    from subscription.invoice import InvoicedAdjustment

    table = new_table("Subscription", "Charge", "Days", "Plan", "Members", "KRW", right=("Members", "KRW"))
    for subscription in invoice.subscriptions:
        for entry in subscription.entries:
            if isinstance(entry, InvoicedAdjustment):
                corrected = f"{entry.corrected.kind}/{entry.corrected.first_day}"
                details = (f"{entry.reason}, {entry.reference}, for {corrected}", _NONE, _NONE)
            else:
                details = (
                    f"{entry.first_day} to {entry.last_day}",
                    "\n".join(rate.plan for rate in entry.rates),
                    "\n".join(f"{rate.members:,}" for rate in entry.rates),
                )
            table.add_row(
                subscription.subscription_id,
                BreakableIdentifier(entry.kind),
                *details,
                format_amount(entry.amount),
            )
    parts = [invoices_table([invoice]), table]
    if invoice.corrected:
        parts.append(corrected_invoices_table(invoice.corrected))
    return Group(*parts)


def corrected_invoices_table(corrected: "Iterable[CorrectedInvoice]") -> Table:
    """Return the earlier invoices that an invoice corrects, with amounts before and after."""
    amounts = ("Supply before (KRW)", "Supply after (KRW)", "Change of VAT (KRW)")
    table = new_table("Corrects", *amounts, right=amounts)
    for invoice in corrected:
        table.add_row(
            invoice.number,
            format_amount(invoice.supply_before),
            format_amount(invoice.supply_after),
            format_amount(invoice.vat_change),
        )
    return table


def notices_table(notices: "Iterable[OutboxNotice]") -> Table:
    table = new_table("Number", "Subscription", "Notice", "Due date", "State", "Since (KST)", "Error")
    for notice in notices:
        table.add_row(
            str(notice.number),
            notice.subscription_id,
            notice.kind,
            str(notice.event_date),
            notice.state,
            f"{notice.completed_at or notice.queued_at:%Y-%m-%d %H:%M}",
            notice.last_error or "",
        )
    return table


def notice_view(notice: "OutboxNotice") -> RenderableType:
    """Return a notice with its email, if the email still exists."""
    if notice.body is None:
        return Group(notices_table([notice]), Text("The email has been deleted."))
    heading = Text(f"To {notice.recipient}\n{notice.subject}\n", style="bold")
    return Group(notices_table([notice]), heading, Text(notice.body))


def quote_view(quote: "Quote | ChangeQuote") -> RenderableType:
    from subscription.forecast import Quote

    message = _cancellation_message(quote) if isinstance(quote, Quote) else _change_message(quote)
    parts: list[RenderableType] = [Text(f"{message}.")]
    if quote.ledger:
        parts.append(ledger_table(quote.ledger))
    return Group(*parts)


def _cancellation_message(quote: "Quote") -> str:
    message = f"Canceling on {quote.date} would cost {format_amount(quote.total)} KRW"
    if quote.penalty:
        message += (
            f", including an early-termination charge of {format_amount(quote.penalty)} KRW, which does not "
            f"apply on {quote.free_on}"
        )
    return message


def _change_message(quote: "ChangeQuote") -> str:
    instead = f" instead of {format_amount(quote.monthly_now)} KRW" if quote.monthly_now else ""
    term, end = quote.contract.term.lower(), quote.contract.end_day
    return (
        f"From {quote.date}, {quote.plan} for {PLAIN.members(quote.members)} costs "
        f"{format_amount(quote.monthly)} KRW per month{instead}. "
        f"The total until the end of the {term} contract on {end} is {format_amount(quote.total)} KRW"
    )


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


def explanation_view(explanation: "Explanation") -> RenderableType:
    table = new_table(
        "From",
        "To",
        "Days",
        "Plan",
        "Members",
        "Price (KRW)",
        "Exact (KRW)",
        right=("Days", "Members", "Price (KRW)", "Exact (KRW)"),
    )
    for step in explanation.steps:
        table.add_row(
            str(step.first_day),
            str(step.end_day),
            f"{step.days} of {step.days_in_month}",
            step.plan,
            f"{step.members:,}",
            step.price_in_words,
            step.exact,
        )
    return Group(
        Text(explanation.key, style="bold"),
        Text(f"{explanation.rule}: {explanation.meaning}."),
        table,
        Text(explanation.arithmetic),
        Text(""),
    )


def list_table(subscriptions: "Iterable[SubscriptionSummary]") -> RenderableType:
    """Return a table with one line per subscription, or several lines in a narrow terminal."""
    wide = new_table(
        *("Subscription", "Customer", "Account", "State", "Access", "Plan", "Members", "Term", "Next"),
        right=("Members",),
    )
    narrow = new_table("Subscription\nCustomer\nAccount", "State\nAccess", "Plan\nTerm", "Next")
    narrow.columns[0].no_wrap = True
    for row in subscriptions:
        state, term = styled_state(row.state), row.term or _NONE
        account = row.account_name or _NONE
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


def schedules_table(schedules: "Iterable[ScheduleStatus]") -> Table:
    table = new_table("Job", "Runs", "Next (KST)", "Last run", "Result")
    for schedule in schedules:
        if not schedule.applied:
            next_run = "not applied yet"
        elif schedule.paused:
            next_run = f"paused: {schedule.pause_note}"
        else:
            next_run = f"{schedule.next_run_at:%Y-%m-%d %H:%M}" if schedule.next_run_at else _NONE
        run = schedule.last_run
        status, summary = (run.status, run.summary or "") if run else (_NONE, "")
        table.add_row(schedule.name, schedule.times, next_run, status, summary)
    return table


def findings_table(findings: "Iterable[ReportedFinding]") -> Table:
    table = new_table("Finding", "Subscription", "Description", "Repaired")
    for finding in findings:
        repaired = Text("yes", style="green") if finding.repaired else Text("no", style="yellow")
        table.add_row(finding.code, finding.subscription_id or _NONE, finding.message, repaired)
    return table


def certificates_view(certificates: "Sequence[ErasureCertificate]") -> RenderableType:
    """Return the erased rows by table: first from the database, then from the workflow histories."""
    table = new_table("Erased", "Rows", right=("Rows",))
    for certificate in certificates:
        for name, count in certificate.rows.items():
            table.add_row(name, f"{count:,}")
    heading = f"Erasure certificate of {format_time(certificates[0].erased_at)}"
    return Group(Text(heading, style="bold"), table)


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


def problems_table(problems: "Iterable[Problem]") -> Table:
    table = new_table("Field", "Problem", "Code")
    for problem in problems:
        table.add_row(
            BreakableIdentifier(problem.field or ""), problem.message, BreakableIdentifier(problem.code)
        )
    return table


def quotes_table(quotes: "Iterable[Quote]") -> Table:
    columns = ("Service fees", "Discount repayment", "Early termination", "Total (KRW)")
    table = new_table("Canceling on", *columns, right=columns)
    for quote in quotes:
        parts = [sum(line.amount for line in quote.ledger if line.kind is kind) for kind in LineKind]
        table.add_row(str(quote.date), *map(format_amount, parts), format_amount(quote.total))
    return table


def remaining_data_table(remains: Iterable[tuple[str, int, int]]) -> Table:
    """Return the occurrences of data by place, before and after the erasure."""
    table = new_table("Found", "Before", "After", right=("Before", "After"))
    for place, before, after in remains:
        table.add_row(place, f"{before:,}", Text(f"{after:,}", style="red" if after else "green"))
    return table


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = BorderlessTable()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
