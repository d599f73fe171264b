"""Download of the export of a subscription (R37)."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext
from entrypoints.http.download_response import archive_response


async def download(page: PageContext) -> Response:
    """Return the archive. A form sends this request, so that no other site or prefetch causes an export."""
    archive = page.console.exports.archive(page.subscription_id, page.caller.customer_id)
    return await archive_response(archive, page.subscription_id)
