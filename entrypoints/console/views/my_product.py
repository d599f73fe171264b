"""The page *My Product*: the subscriptions of a customer."""

from urllib.parse import urlencode

from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext

_A_PAGE = 50


async def home(page: PageContext) -> Response:
    return await page.redirect("/subscriptions" if page.caller.customer_id else "/operator")


async def my_product(page: PageContext) -> Response:
    """List the customer's subscriptions: the live ones, newest first, then the erased ones."""
    query = page.request.query_params
    name, after = query.get("name", ""), query.get("after", "")
    found = await page.client.products(name=name, after=after, limit=_A_PAGE)
    monthly = [product.monthly for product in found.products if product.monthly is not None]
    complete = not (name or after or found.next_cursor)
    return await page.render(
        "my_product.html",
        found=found,
        total_monthly=sum(monthly) if complete and len(monthly) > 1 else None,
        next_page=f"?{urlencode({'name': name, 'after': found.next_cursor})}",
        erased=() if name or after else await page.client.erased_products(limit=_A_PAGE),
        after=after,
        messages=MessageFormatter(page.translator, await page.client.price_book()),
    )
