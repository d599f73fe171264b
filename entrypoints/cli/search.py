"""`worksub list`."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import AccessFilter, AsJson, OptionalTerm, PageSize, Plan, StateFilter
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import SubscriptionClient
    from starter.filters import NamedFilter
    from starter.search import SearchPage

app = typer.Typer()


def _which(text: str) -> str:
    if text not in _names():
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(_names())}.")
    return text


def _names() -> list[str]:
    from starter.filters import NAMED_FILTERS

    return list(NAMED_FILTERS)


@app.command("list", rich_help_panel="Ask about a subscription")
def list_subscriptions(
    which: Annotated[
        str | None,
        typer.Argument(
            parser=_which,
            autocompletion=_names,
            metavar="WHICH",
            show_default=False,
            help="trials-ending or reservations-due (this week), contracts-ending (this month), suspended, "
            "restricted (a domain is not proved), needs-attention.",
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query", metavar="QUERY", help="In Temporal's visibility query language, as 'Plan = \"basic\"'."
        ),
    ] = None,
    state: StateFilter = None,
    access: AccessFilter = None,
    plan: Plan = None,
    term: OptionalTerm = None,
    customer: Annotated[str | None, typer.Option("--customer", metavar="ID", help="Of one customer.")] = None,
    limit: PageSize = 50,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Go on after this id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List subscriptions: all, those of a ready-made question, or those of a query.

    What is given beside each other must all hold. Weeks begin on Monday; days are those of Korea.
    """
    from starter.filters import NAMED_FILTERS, access_is, customer_is, plan_is, state_is, term_is
    from subscription.business_calendar import KST
    from subscription.contract import ContractTerm
    from subscription.state import Access, State

    if query is not None and which is not None:
        raise usage_error(f"Say either {which} or --query.", field="query")
    if query is not None and not query.strip():
        raise usage_error("--query has nothing in it.", field="query")
    ready_made = NAMED_FILTERS[which] if which else None
    selection = ready_made.on(datetime.now(KST).date()) if ready_made else ()
    selection += state_is(State(state)) if state else ()
    selection += access_is(Access(access)) if access else ()
    selection += plan_is(plan) if plan is not None else ()
    selection += term_is(ContractTerm(term)) if term else ()
    selection += customer_is(customer) if customer is not None else ()

    async def found(client: "SubscriptionClient") -> "SearchPage":
        from starter.search import InvalidQueryError

        try:
            return await client.find(selection, query=query, after=after, limit=limit)
        except InvalidQueryError as error:
            raise CommandError(
                ExitCode.USAGE,
                "INVALID_QUERY",
                f"Temporal cannot read the query: {error}.",
                field="query",
                advice="Names and examples: docs/operations.md.",
            ) from None

    with Session() as session:
        page = session.ask(found)
    show(as_json, page, lambda: _view(page, ready_made))


def _view(page: "SearchPage", ready_made: "NamedFilter | None") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.tables import attention_words, list_table
    from subscription.business_calendar import KST

    now = datetime.now(KST)
    parts: list[RenderableType] = [list_table(page.subscriptions)] if page.subscriptions else []
    parts += [Text(f"Not in the record, though a workflow runs: {each}") for each in page.unrecorded]
    for subscription_id, attention in page.attention.items():
        parts.append(Text(f"{subscription_id} needs attention: {attention_words(attention, now)}"))
        parts.append(Text(f"  {attention.advice}", style="dim"))
    if page.after:
        parts.append(Text(f"There are more: add --after {page.after} ({page.total:,} in all)."))
    elif not parts:
        parts.append(Text("There are none."))
    if ready_made:
        parts.append(Text(f"Asked for: {ready_made.meaning}."))
        if page.query:
            parts.append(Text(f"The same in Temporal's Web UI: {page.query}"))
    return Group(*parts)
