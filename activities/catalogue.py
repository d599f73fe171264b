"""Activity that loads the price book of a subscription (R19)."""

from temporalio import activity

from adapters.postgres.pool import Pool
from adapters.postgres.price_book_repository import load_price_book
from subscription.activity_contracts import PriceBookInput, PriceBookResult
from subscription.price_needs import needed_versions


class CatalogueActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def get_price_book(self, input: PriceBookInput) -> PriceBookResult:
        book = await load_price_book(self._pool)
        if book.revision == input.revision:
            return PriceBookResult(book=None)
        return PriceBookResult(book=needed_versions(book, input.needs))
