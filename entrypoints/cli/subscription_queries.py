"""Read-only commands: entitlements, timeline, ledger, quote, upcoming, explain."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.date_arguments import parse_day
from entrypoints.cli.errors import usage_error
from entrypoints.cli.options import (
    DEFAULT_TIMEOUT,
    AsJson,
    Members,
    OptionalDate,
    OptionalTerm,
    Plan,
    QuotedChange,
    SubscriptionId,
    Timeout,
    Watch,
)
from entrypoints.cli.output import show, text_width
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import CancellationQuote, SubscriptionClient
    from subscription.forecast import ChangeQuote
    from subscription.timeline import RecordedEntry

app = typer.Typer()
_PANEL = "Query a subscription"
_WATCH_SECONDS = 1.0


@app.command(rich_help_panel=_PANEL)
def entitlements(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Show what the product grants: plan, functions, seats, access."""
    with Session() as session:
        subscription_id = session.resolve_id(subscription_id)
        granted = session.run_query(lambda queries: queries.entitlements(subscription_id))

    def render() -> str:
        from entrypoints.cli.views.status import entitlements_text

        return entitlements_text(granted, text_width())

    show(as_json, granted, render)


@app.command(rich_help_panel=_PANEL)
def timeline(subscription_id: SubscriptionId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show the timeline of a subscription. With --watch, also each new entry."""
    with Session() as session:
        subscription_id = session.resolve_id(subscription_id)
        entries = _entries(session, subscription_id, after=0)
        _show_entries(as_json, entries, header=True)
        while watch and not (entries and entries[-1].state.is_terminal):
            session.wait(_WATCH_SECONDS)
            if added := _entries(session, subscription_id, after=entries[-1].sequence if entries else 0):
                _show_entries(as_json, added, header=not entries)
                entries = added


def _entries(session: Session, subscription_id: str, *, after: int) -> "list[RecordedEntry]":
    return session.run_query(lambda queries: queries.timeline(subscription_id, after=after))


def _show_entries(as_json: bool, entries: "list[RecordedEntry]", *, header: bool) -> None:
    def render() -> "RenderableType":
        from entrypoints.cli.views.subscription import recorded_timeline_table

        table = recorded_timeline_table(entries)
        table.show_header = header
        return table

    show(as_json, entries, render)


@app.command(rich_help_panel=_PANEL)
def ledger(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Show the ledger in whole KRW before VAT, with adjustments."""
    with Session() as session:
        subscription_id = session.resolve_id(subscription_id)
        lines = session.run_query(lambda queries: queries.ledger(subscription_id))
        adjustments = session.run_query(lambda queries: queries.adjustments(subscription_id))

    def render() -> "RenderableType":
        from rich.console import Group

        from entrypoints.cli.views.billing import adjustments_table, ledger_table

        if not lines:
            return "There are no charges."
        return Group(ledger_table(lines), *([adjustments_table(adjustments)] if adjustments else []))

    show(as_json, [*lines, *adjustments], render)


@app.command(rich_help_panel=_PANEL)
def quote(
    subscription_id: SubscriptionId,
    date: OptionalDate = None,
    of: QuotedChange = "cancellation",
    term: OptionalTerm = None,
    plan: Plan = None,
    members: Members = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Quote the cost of a cancellation, switch or upgrade. Nothing is changed."""
    from subscription.contract import ContractTerm

    _check_quote_options(of, date, term, plan or members)
    contract_term = ContractTerm(term) if term else None
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        day = parse_day(session, subscription_id, date or "today")

        async def request_quote(client: "SubscriptionClient") -> "CancellationQuote | ChangeQuote":
            match of:
                case "upgrade":
                    return await client.quote_upgrade(
                        subscription_id, plan=plan, members=members, term=contract_term
                    )
                case "switch":
                    return await client.quote_switch(
                        subscription_id, day, contract_term, plan=plan, members=members
                    )
            return await client.quote_cancellation(subscription_id, day)

        quoted = session.run_client(request_quote)

    def render() -> "RenderableType":
        from entrypoints.cli.views.billing import quote_view

        return quote_view(quoted)

    show(as_json, quoted, render)


def _check_quote_options(of: str, date: str | None, term: str | None, rate: object) -> None:
    """Raise `CommandError` if the options cannot be combined, before connecting to a server."""
    if of == "upgrade" and date:
        raise usage_error("An upgrade takes effect immediately, so --date is not allowed.", field="date")
    if of != "upgrade" and not date:
        raise usage_error(f"A quote of a {of} requires --date.", field="date")
    if of == "switch" and not term:
        raise usage_error("A switch requires --term MONTHLY or --term ANNUAL.", field="term")
    if of == "cancellation" and (term or rate):
        raise usage_error("--term, --plan and --members require --of switch or --of upgrade.", field="of")


@app.command(rich_help_panel=_PANEL)
def upcoming(
    subscription_id: SubscriptionId, timeout: Timeout = DEFAULT_TIMEOUT, as_json: AsJson = False
) -> None:
    """Show the future events, with amounts, if no further command is sent."""
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        events = session.run_client(lambda client: client.upcoming(subscription_id))

    def render() -> "RenderableType":
        from entrypoints.cli.views.subscription import upcoming_table

        return upcoming_table(events) if events else "There are no upcoming events."

    show(as_json, events, render)


@app.command(rich_help_panel=_PANEL)
def explain(
    subscription_id: SubscriptionId,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="Key of a ledger line, such as SERVICE_FEE/2027-01-01; default: all.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain ledger lines: rule, days, price, arithmetic."""
    with Session() as session:
        subscription_id = session.resolve_id(subscription_id)
        full_key = f"{subscription_id}/{key}" if key and key.count("/") == 1 else key
        explanations = session.run_query(lambda queries: queries.explain(subscription_id, full_key))

    def render() -> "RenderableType":
        from rich.console import Group

        from entrypoints.cli.views.billing import explanation_view

        return Group(*map(explanation_view, explanations)) if explanations else "There are no charges."

    show(as_json, explanations, render)
