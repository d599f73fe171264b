"""The components of the design system on one page (local stack only)."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext


async def design(page: PageContext) -> Response:
    """Show each component with its variants, in the light and in the dark scheme."""
    return await page.render("design.html")
