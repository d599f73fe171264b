"""Restoration of catalogue versions that a workflow knows and the database has lost."""

from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from adapters.postgres.catalogue_repository import load_price_book, restore_versions
from subscription.catalogue import PriceBook
from subscription.reconciliation import FindingCode


async def restore_catalogues(means: ReconcileContext, look: SubscriptionCheck) -> None:
    """Publish again what the workflow of this subscription knows; others are judged by these prices."""
    book = await means.workflows.price_book(look.subscription_id)
    if book is None:
        return
    async with means.restoring_book:
        if _has(means.book, book):
            return
        means.book = await load_price_book(means.pool)
        if _has(means.book, book):
            return
        lost = ", ".join(each.version for each in book.versions if each not in means.book.versions)
        message = f"The record lacks catalogue version {lost}, which its workflow knows."
        await look.finds(FindingCode.CATALOGUE_MISSING, message, lambda: restore_versions(means.pool, book))
        means.book = await load_price_book(means.pool)


def _has(record: PriceBook, workflow: PriceBook) -> bool:
    return record.versions[: workflow.edition] == workflow.versions
