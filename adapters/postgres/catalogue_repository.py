"""Published catalogue versions in PostgreSQL (R19)."""

from datetime import date, datetime

from adapters.postgres.pool import Connection, Pool
from adapters.postgres.price_book_repository import load_price_book, load_texts
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, CatalogueTexts, PriceBook
from subscription.catalogue_preview import preview_id
from subscription.refusals import Refusal, RefusalCode


class PublishingError(Exception):
    """A catalogue version conflicts with the published versions."""

    def __init__(self, version: str, refused: Refusal) -> None:
        super().__init__(f"Catalogue version {version} cannot be published: {refused.message}")
        self.refused = refused


async def newest_revision(connection: Connection | Pool) -> int:
    """Return the revision of the price book; 0 if no version is published."""
    revision: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM catalogue_versions")
    return revision


async def restore_versions(pool: Pool, book: PriceBook) -> bool:
    """Publish again the versions of a price book that the database has lost.

    Return False if the database contains different versions instead, or if the book of this workflow lacks
    one of the lost versions. Effective dates are not checked against today, because these versions were
    published before their dates. The texts are not restored, because workflows do not carry them.
    """
    known = await load_price_book(pool)
    missing = {number: lost for number, lost in book.by_number.items() if number > known.revision}
    if list(missing) != list(range(known.revision + 1, book.revision + 1)):
        return False
    for number, catalogue in missing.items():
        await _insert(pool, number, catalogue)
    return (await load_price_book(pool)).contains(book)


async def publish(
    pool: Pool, catalogue: Catalogue, *, today: date | None = None, preview: str | None = None
) -> bool:
    """Publish a version; return False if it is already published. Raises `PublishingError`.

    `today` is the business day of the publication: that of the database clock, except in simulations. With
    `preview`, publish only what this preview has shown: see `preview_id`.
    """
    priced, texts = catalogue.without_texts(), catalogue.texts
    while True:
        book = await load_price_book(pool)
        if priced in book.versions:
            published_texts = await load_texts(pool, catalogue.version)
            if published_texts == texts:
                return False
            if published_texts is None:  # a restored version
                await _insert_texts(pool, catalogue.version, texts)
                continue
        refused = book.refusal_of(catalogue, today or await _today(pool))
        if preview is not None and preview != preview_id(book, catalogue):
            refused = Refusal.of(RefusalCode.PREVIEW_OUTDATED, "preview")
        if refused:
            raise PublishingError(catalogue.version, refused)
        # A concurrent publisher may have taken the number, the version or the date: read the book again.
        if await _insert(pool, book.revision + 1, priced, texts):
            return True


async def _insert(pool: Pool, number: int, catalogue: Catalogue, texts: CatalogueTexts | None = None) -> bool:
    """Insert a version; return False if one of its keys is taken.

    ON CONFLICT names no constraint, because conflicts on the other constraints would raise an error.
    """
    inserted: bool | None = await pool.fetchval(
        """
        WITH published AS (
            INSERT INTO catalogue_versions (number, version, effective_from, document)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING version
        ), with_texts AS (
            INSERT INTO catalogue_texts (version, document)
            SELECT version, $5::jsonb FROM published WHERE $5::jsonb IS NOT NULL
        )
        SELECT true FROM published
        """,
        number,
        catalogue.version,
        catalogue.effective_from,
        catalogue.model_dump_json(),
        texts and texts.model_dump_json(),
    )
    return bool(inserted)


async def _insert_texts(pool: Pool, version: str, texts: CatalogueTexts) -> None:
    await pool.execute(
        "INSERT INTO catalogue_texts (version, document) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        version,
        texts.model_dump_json(),
    )


async def _today(pool: Pool) -> date:
    """Return the business day of the database clock, which all publishers share."""
    now: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return day_of(now)
