"""Commands that only read: status, timeline, ledger, quote, upcoming, explain."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

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
from entrypoints.cli.output import console, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import SubscriptionClient
    from starter.queries import SubscriptionQueries
    from subscription.attention import ShownAttention
    from subscription.forecast import ChangeQuote, Quote
    from subscription.status import Status
    from subscription.timeline import ErasureCertificate, TimelineEntry

app = typer.Typer()
_PANEL = "Ask about a subscription"
_WATCH_SECONDS = 1.0


@app.command(rich_help_panel=_PANEL)
def status(subscription_id: SubscriptionId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Where a subscription stands and what happens next; once erased, with the certificate."""
    with Session() as session:
        subscription_id = session.subscription(subscription_id)
        shown: Standing | None = None
        while True:
            standing = session.read(lambda record: _standing(record, subscription_id))
            if standing != shown:
                _show_standing(as_json, standing, separated=shown is not None)
            if not watch or standing.status.state.over:
                return
            shown = standing
            session.wait(_WATCH_SECONDS)


class Standing(NamedTuple):
    status: "Status"
    certificates: "list[ErasureCertificate]"
    attention: "ShownAttention | None"


async def _standing(record: "SubscriptionQueries", subscription_id: str) -> Standing:
    return Standing(
        await record.status(subscription_id),
        await record.certificates(subscription_id),
        await record.attention(subscription_id),
    )


def _show_standing(as_json: bool, standing: Standing, *, separated: bool) -> None:
    from entrypoints.cli.views.tables import status_view

    if separated and not as_json:
        console().print()
    document = {
        **standing.status.model_dump(mode="json"),
        "certificates": standing.certificates,
        "attention": standing.attention,
    }
    show(as_json, document, lambda: status_view(*standing))


@app.command(rich_help_panel=_PANEL)
def timeline(subscription_id: SubscriptionId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Everything that has happened to a subscription. With --watch, first that and then what is added."""
    with Session() as session:
        subscription_id = session.subscription(subscription_id)
        entries = _entries(session, subscription_id, after=0)
        _show_entries(as_json, entries, header=True)
        while watch and not (entries and entries[-1].state.over):
            session.wait(_WATCH_SECONDS)
            if added := _entries(session, subscription_id, after=entries[-1].sequence if entries else 0):
                _show_entries(as_json, added, header=not entries)
                entries = added


def _entries(session: Session, subscription_id: str, *, after: int) -> "list[TimelineEntry]":
    return session.read(lambda record: record.timeline(subscription_id, after=after))


def _show_entries(as_json: bool, entries: "list[TimelineEntry]", *, header: bool) -> None:
    from entrypoints.cli.views.tables import timeline_table

    def for_people() -> "RenderableType":
        table = timeline_table(entries)
        table.show_header = header
        return table

    show(as_json, entries, for_people)


@app.command(rich_help_panel=_PANEL)
def ledger(subscription_id: SubscriptionId, as_json: AsJson = False) -> None:
    """Everything that has been charged, in whole KRW before VAT, and what was corrected since."""
    from rich.console import Group

    from entrypoints.cli.views.tables import adjustments_table, ledger_table

    with Session() as session:
        subscription_id = session.subscription(subscription_id)
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
    from entrypoints.cli.views.tables import quote_view
    from subscription.contract import ContractTerm

    _check_that_it_can_be_quoted(of, date, term, plan or members)
    chosen = ContractTerm(term) if term else None
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        day = parse_day(session, subscription_id, date or "today")

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
    from entrypoints.cli.views.tables import coming_table

    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
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

    from entrypoints.cli.views.tables import explanation_view

    with Session() as session:
        subscription_id = session.subscription(subscription_id)
        full_key = f"{subscription_id}/{key}" if key and key.count("/") == 1 else key
        found = session.read(lambda record: record.explain(subscription_id, full_key))
    show(
        as_json,
        found,
        lambda: Group(*map(explanation_view, found)) if found else "Nothing has been charged.",
    )
