"""Published catalogue versions in PostgreSQL (R19)."""

from datetime import date, datetime
from functools import lru_cache

from adapters.postgres.pool import Connection, Pool
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.refusals import Refusal


class PublishingError(Exception):
    """A catalogue that cannot be published beside those that already are."""

    def __init__(self, version: str, refused: Refusal) -> None:
        super().__init__(f"Catalogue version {version} cannot be published: {refused.message}")
        self.refused = refused


async def versions_after(connection: Connection | Pool, edition: int) -> tuple[Catalogue, ...]:
    """The versions that a price book of this edition does not know."""
    rows = await connection.fetch(
        "SELECT document FROM catalogue_versions WHERE number > $1 ORDER BY number", edition
    )
    return tuple(_read(row["document"]) for row in rows)


async def has_edition(connection: Connection | Pool, edition: int) -> bool:
    """Return whether the record has as many versions as a price book of this edition knows."""
    found: bool = await connection.fetchval("SELECT count(*) >= $1 FROM catalogue_versions", edition)
    return found


async def restore_versions(pool: Pool, book: PriceBook) -> bool:
    """Publish again what a price book knows and the record has lost; False if the record has others instead.

    No day is compared: these versions were published before, when their day had not passed.
    """
    known = await load_price_book(pool)
    lost = book.versions[known.edition :]
    for number, catalogue in enumerate(lost, start=known.edition + 1):
        await _insert(pool, number, catalogue)
    return (await load_price_book(pool)).versions[: book.edition] == book.versions


@lru_cache(maxsize=100)
def _read(document: str) -> Catalogue:
    """A version never changes, so each is read once."""
    return Catalogue.model_validate_json(document)


async def load_price_book(connection: Connection | Pool) -> PriceBook:
    return PriceBook(versions=await versions_after(connection, 0))


async def publish(pool: Pool, catalogue: Catalogue, *, today: date | None = None) -> bool:
    """Publish a version, and return False if it already is; raise `PublishingError` if it may not be.

    `today` is the business day of the publication. It is the database's; only a simulated one has another.
    """
    while True:
        book = await load_price_book(pool)
        if catalogue in book.versions:
            return False
        refused = book.refusal_of(catalogue, today or await _today(pool))
        if refused:
            raise PublishingError(catalogue.version, refused)
        # A concurrent publisher may have taken the number, the version or the date: then read the book again.
        # If this named one of the constraints, the others would raise an error.
        if await _insert(pool, book.edition + 1, catalogue):
            return True


async def _insert(pool: Pool, number: int, catalogue: Catalogue) -> bool:
    inserted: bool | None = await pool.fetchval(
        """
        INSERT INTO catalogue_versions (number, version, effective_from, document)
        VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true
        """,
        number,
        catalogue.version,
        catalogue.effective_from,
        catalogue.model_dump_json(),
    )
    return bool(inserted)


async def _today(pool: Pool) -> date:
    """The business day by the clock of the database, which all publishers share."""
    now: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return day_of(now)
