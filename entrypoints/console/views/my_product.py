"""Subscription lists for customers and operators."""

from datetime import datetime

from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from starter.filters import NAMED_FILTERS, Filters, customer_is, state_is
from starter.search import SearchPage
from subscription.business_calendar import KST, day_of
from subscription.state import State

_A_PAGE = 50
_SHOWN_STATES = (State.TRIAL, State.SUSPENDED, State.ACTIVE, State.CANCELED, State.ERASED)


async def home(page: PageContext) -> Response:
    return await page.redirect("/subscriptions" if page.caller.customer_id else "/operator")


async def my_product(page: PageContext) -> Response:
    """List the customer's subscriptions: the live ones, newest first, then the erased ones."""
    query = page.request.query_params
    name, after = query.get("name", ""), query.get("after", "")
    return await page.render(
        "my_product.html",
        found=await page.client.products(name=name, after=after, limit=_A_PAGE),
        erased=() if name or after else await page.client.erased_products(limit=_A_PAGE),
        after=after,
        messages=MessageFormatter(page.translator, await page.client.price_book()),
    )


async def all_subscriptions(page: PageContext) -> Response:
    """List the subscriptions of all customers, filtered by state, by customer, or by a saved search."""
    query = page.request.query_params
    ready_made, state, customer = query.get("show", ""), query.get("state", ""), query.get("customer", "")
    selection, today = Filters(), day_of(datetime.now(KST))
    problems: dict[str, str] = {}
    if ready_made in NAMED_FILTERS:
        selection += NAMED_FILTERS[ready_made].on(today)
    elif ready_made:
        problems["show"] = _no_such_filter(page, ready_made)
    if state in tuple(State):
        selection += state_is(State(state))
    elif state:
        problems["state"] = _no_such_filter(page, state)
    if customer:
        selection += customer_is(customer)
    found = (
        SearchPage(subscriptions=(), total=0, next_cursor=None, query=None)
        if problems
        else await page.client.find(selection, after=query.get("after", ""), limit=_A_PAGE)
    )
    attention = await page.client.find(NAMED_FILTERS["needs-attention"].on(today), limit=_A_PAGE)
    return await page.render(
        "operator.html",
        status=422 if problems else 200,
        problems=problems,
        found=found,
        messages=MessageFormatter(page.translator, await page.client.price_book()),
        ready_made=_named_filter(page),
        show=ready_made,
        state=state,
        customer=customer,
        states=_SHOWN_STATES,
        needing_attention={
            *(each.subscription_id for each in attention.subscriptions),
            *attention.missing_in_database,
        },
        attention_reasons=attention.attention,
        attention_total=attention.total,
        temporal_ui=page.console.settings.temporal_ui_url,
    )


def _no_such_filter(page: PageContext, value: str) -> str:
    return page.translator.gettext("There is no filter %(value)s. Choose one from the list.", value=value)


def _named_filter(page: PageContext) -> dict[str, str]:
    gettext = page.translator.gettext
    return {
        "needs-attention": gettext("Needs attention"),
        "trials-ending": gettext("Trials that end this week"),
        "reservations-due": gettext("Reserved for this week"),
        "contracts-ending": gettext("Contracts that end this month"),
        "suspended": gettext("Suspended"),
        "restricted": gettext("Domain not verified"),
        "over-seats": gettext("More members than seats"),
    }
