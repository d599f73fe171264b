"""Restoration of catalogue versions that a workflow uses and the database lacks."""

from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from adapters.postgres.catalogue_repository import restore_versions
from adapters.postgres.price_book_repository import load_price_book
from subscription.reconciliation import FindingCode


async def restore_catalogues(context: ReconcileContext, check: SubscriptionCheck) -> None:
    """Restore catalogue versions that the workflow of this subscription uses, because others use them too."""
    book = await context.workflows.price_book(check.subscription_id)
    if book is None:
        return
    async with context.restoring_book:
        if context.book.contains(book):
            return
        context.book = await load_price_book(context.pool)
        if context.book.contains(book):
            return
        lost = ", ".join(version.version for version in book.versions if version not in context.book.versions)
        message = f"The database lacks catalogue version {lost}, which its workflow uses."
        await check.add(FindingCode.CATALOGUE_MISSING, message, lambda: restore_versions(context.pool, book))
        context.book = await load_price_book(context.pool)
