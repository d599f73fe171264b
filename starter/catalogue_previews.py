"""Preview of a catalogue version for all subscriptions that accept commands, and its publication."""

from datetime import date, datetime
from typing import NamedTuple

from adapters.postgres.catalogue_repository import publish
from adapters.postgres.pool import create_pool
from starter.queries import SubscriptionQueries
from subscription.business_calendar import KST, add_months, day_of
from subscription.catalogue import Catalogue
from subscription.catalogue_preview import CataloguePreview, SubscriptionEffect, period_of
from subscription.refusals import RefusalCode, RefusalError, refusal

_PAGE = 200
_MOST_MONTHS_AHEAD = 120
"""Bounds the cost of a preview: the rules are run forward until its first day."""


class PreviewPage(NamedTuple):
    """The effects on a page. `next_after` is the cursor of the next page; None on the last."""

    subscriptions: int
    effects: tuple[SubscriptionEffect, ...]
    next_after: str | None


async def begin_preview(
    queries: SubscriptionQueries, newer: Catalogue, as_of: date | None = None
) -> CataloguePreview:
    """Begin the preview of a version as if it were published on `as_of`, by default today.

    Raises `RefusalError` if the version could not be published on that day, or if the day is too far ahead.
    """
    book, today = await queries.price_book(), day_of(datetime.now(KST))
    day, latest = as_of or today, add_months(today, _MOST_MONTHS_AHEAD)
    if day > latest:
        raise refusal(RefusalCode.DATE_TOO_LATE, "as_of", latest=latest)
    period = period_of(book, newer, day)
    if not period.is_published and (refused := book.refusal_of(newer, day)):
        raise RefusalError(refused)
    return CataloguePreview(period)


async def preview_page(
    queries: SubscriptionQueries, preview: CataloguePreview, after: str, limit: int = _PAGE
) -> PreviewPage:
    """Add the next page of subscriptions to the preview."""
    states = await queries.commandable_states(after=after, limit=limit)
    effects = tuple(effect for state in states if (effect := preview.add(state)))
    last = states[-1].subscription_id if len(states) == limit else None
    return PreviewPage(len(states), effects, last)


async def publish_previewed(owner_url: str, catalogue: Catalogue, preview: str) -> bool:
    """Publish a version exactly as previewed; return False if it is already published.

    Raises `PublishingError` if the version or the published versions differ from the preview.
    """
    async with create_pool(owner_url, "worksub_worker", connections=1) as pool:
        return await publish(pool, catalogue, preview=preview)
