"""What only asks: status, timeline, ledger, quote, upcoming, explain."""

from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.dates import day_meant
from starter.cli.errors import usage_error
from starter.cli.options import (
    DEFAULT_TIMEOUT,
    AsJson,
    Members,
    OptionalDate,
    OptionalTerm,
    Plan,
    QuotedChange,
    SubscriptionId,
    Timeout,
)
from starter.cli.output import show
from starter.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import SubscriptionClient
    from subscription.forecast import ChangeQuote, Quote

app = typer.Typer()
_PANEL = "Ask about a subscription"


@app.command(rich_help_panel=_PANEL)
def status(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Where a subscription stands and what happens next; once erased, with the certificate."""
    from starter.cli.tables import status_view

    with Session() as session:
        found = session.read(lambda record: record.status(subscription_id))
        certificates = session.read(lambda record: record.certificates(subscription_id))
    document = {**found.model_dump(mode="json"), "certificates": certificates}
    show(as_json, document, lambda: status_view(found, certificates))


@app.command(rich_help_panel=_PANEL)
def timeline(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Everything that has happened to a subscription."""
    from starter.cli.tables import timeline_table

    with Session() as session:
        entries = session.read(lambda record: record.timeline(subscription_id))
    show(as_json, entries, lambda: timeline_table(entries))


@app.command(rich_help_panel=_PANEL)
def ledger(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Everything that has been charged, in whole KRW before VAT, and what was corrected since."""
    from rich.console import Group

    from starter.cli.tables import adjustments_table, ledger_table

    with Session() as session:
        lines = session.read(lambda record: record.ledger(subscription_id))
        adjustments = session.read(lambda record: record.adjustments(subscription_id))

    def for_people() -> "RenderableType":
        if not lines:
            return "Nothing has been charged."
        return Group(ledger_table(lines), *([adjustments_table(adjustments)] if adjustments else []))

    show(as_json, [*lines, *adjustments], for_people)


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
    """What a cancellation, switch or upgrade would cost. Asking is free and changes nothing."""
    from starter.cli.tables import quote_view
    from subscription.commands import ContractTerm

    _check_that_it_can_be_quoted(of, date, term, plan or members)
    chosen = ContractTerm(term) if term else None
    with Session(timeout=timeout) as session:
        day = day_meant(session, subscription_id, date or "today")

        async def quoted(client: "SubscriptionClient") -> "Quote | ChangeQuote":
            match of:
                case "upgrade":
                    return await client.quote_upgrade(
                        subscription_id, plan=plan, members=members, term=chosen
                    )
                case "switch":
                    return await client.quote_switch(subscription_id, day, chosen, plan=plan, members=members)
            return await client.quote_cancellation(subscription_id, day)

        found = session.ask(quoted)
    show(as_json, found, lambda: quote_view(found))


def _check_that_it_can_be_quoted(of: str, date: str | None, term: str | None, rate: object) -> None:
    """What goes with what, before anybody is asked."""
    if of == "upgrade" and date:
        raise usage_error("An upgrade is at once, so it takes no --date.", field="date")
    if of != "upgrade" and not date:
        raise usage_error(f"Say on which day: a quote of a {of} takes --date.", field="date")
    if of == "switch" and not term:
        raise usage_error("A switch names the contract: --term MONTHLY or --term ANNUAL.", field="term")
    if of == "cancellation" and (term or rate):
        raise usage_error("--term, --plan and --members go with --of switch or --of upgrade.", field="of")


@app.command(rich_help_panel=_PANEL)
def upcoming(
    subscription_id: SubscriptionId, timeout: Timeout = DEFAULT_TIMEOUT, as_json: AsJson = False
) -> None:
    """What will happen next if nothing is asked, with amounts."""
    from starter.cli.tables import coming_table

    with Session(timeout=timeout) as session:
        coming = session.ask(lambda client: client.upcoming(subscription_id))
    show(as_json, coming, lambda: coming_table(coming) if coming else "Nothing will happen any more.")


@app.command(rich_help_panel=_PANEL)
def explain(
    subscription_id: SubscriptionId,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="One line, as SERVICE_FEE/2027-01-01; all if not given.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Why a ledger line is what it is: rule, days, price, arithmetic."""
    from rich.console import Group

    from starter.cli.tables import explanation_view

    full_key = f"{subscription_id}/{key}" if key and key.count("/") == 1 else key
    with Session() as session:
        found = session.read(lambda record: record.explain(subscription_id, full_key))
    show(
        as_json,
        found,
        lambda: Group(*map(explanation_view, found)) if found else "Nothing has been charged.",
    )
