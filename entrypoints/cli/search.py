"""`worksub list`: find subscriptions."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.errors import usage_error
from entrypoints.cli.filters import (
    AccessFilter,
    CustomerFilter,
    NamedFilterArgument,
    StateFilter,
    VisibilityQuery,
    check_not_empty,
    convert_invalid_query,
)
from entrypoints.cli.options import AsJson, OptionalTerm, PageSize, Plan
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import SubscriptionClient
    from starter.filters import NamedFilter
    from starter.search import SearchPage

app = typer.Typer()


@app.command("list", rich_help_panel="Query a subscription")
def list_subscriptions(
    which: NamedFilterArgument = None,
    query: VisibilityQuery = None,
    state: StateFilter = None,
    access: AccessFilter = None,
    plan: Plan = None,
    term: OptionalTerm = None,
    customer: CustomerFilter = None,
    limit: PageSize = 50,
    after: Annotated[str, typer.Option("--after", metavar="ID", help="Continue after this ID.")] = "",
    as_json: AsJson = False,
) -> None:
    """List subscriptions: all, by a named filter, or by a query.

    Several filters are combined with AND. Weeks begin on Monday; days are in Korean time.
    """
    from starter.filters import NAMED_FILTERS
    from starter.selection import Selection
    from subscription.contract import ContractTerm
    from subscription.state import Access, State

    if query is not None and which is not None:
        raise usage_error(f"Specify either {which} or --query.", field="query")
    check_not_empty(query=query, plan=plan, customer=customer)
    named_filter = NAMED_FILTERS[which] if which else None
    selection = Selection(
        which=which,
        state=State(state) if state else None,
        access=Access(access) if access else None,
        plan=plan,
        term=ContractTerm(term) if term else None,
        customer_id=customer,
    )

    async def search(client: "SubscriptionClient") -> "SearchPage":
        return await client.find(selection.filters(), query=query, after=after, limit=limit)

    with Session() as session, convert_invalid_query():
        page = session.run_client(search)
    show(as_json, page, lambda: _view(page, named_filter))


def _view(page: "SearchPage", named_filter: "NamedFilter | None") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.formatting import format_attention
    from entrypoints.cli.views.subscription import list_table
    from subscription.business_calendar import KST

    now = datetime.now(KST)
    parts: list[RenderableType] = [list_table(page.subscriptions)] if page.subscriptions else []
    parts += [Text(f"Workflow without a database row: {missing}") for missing in page.missing_in_database]
    for subscription_id, attention in page.attention.items():
        parts.append(Text(f"{subscription_id} needs attention: {format_attention(attention, now)}"))
        parts.append(Text(f"  {attention.advice}", style="dim"))
    if page.next_cursor:
        parts.append(Text(f"There are more: add --after {page.next_cursor} (total: {page.total:,})."))
    elif not parts:
        parts.append(Text("No subscriptions found."))
    if named_filter:
        parts.append(Text(f"Filter: {named_filter.meaning}."))
        if page.query:
            parts.append(Text(f"Query for Temporal's Web UI: {page.query}"))
    return Group(*parts)
