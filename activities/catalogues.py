"""Published catalogue versions: immutable, numbered in the order in which they come into force (R19)."""

from functools import lru_cache

from temporalio import activity

from activities.database import Connection, Pool
from subscription.catalogue import Catalogue, PriceBook
from subscription.effects import KnownEdition, NewerCatalogues

_PUBLISHING = 0x63617461  # the advisory lock under which versions get their numbers


class PublishingError(Exception):
    """A catalogue that cannot be published beside those that already are."""


async def newer_versions(connection: Connection | Pool, edition: int) -> tuple[Catalogue, ...]:
    """The versions that a price book of this edition does not know."""
    rows = await connection.fetch(
        "SELECT document FROM catalogue_versions WHERE number > $1 ORDER BY number", edition
    )
    return tuple(_read(row["document"]) for row in rows)


@lru_cache(maxsize=100)
def _read(document: str) -> Catalogue:
    """A version never changes, so each is read once."""
    return Catalogue.model_validate_json(document)


async def price_book(connection: Connection | Pool) -> PriceBook:
    return PriceBook(versions=await newer_versions(connection, 0))


async def publish(pool: Pool, catalogue: Catalogue) -> bool:
    """Publish a version; False if it already is. Raises `PublishingError` if that would change another."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _PUBLISHING)
        book = await price_book(connection)
        for published in book.versions:
            if published == catalogue:
                return False
            if published.version == catalogue.version:
                raise PublishingError(
                    f"Catalogue version {catalogue.version} is published with other contents and never "
                    "changes: give the new one a new `version` and a later `effective_from`."
                )
        if book.versions and catalogue.effective_from <= book.versions[-1].effective_from:
            raise PublishingError(
                f"Catalogue version {catalogue.version} must come into force after "
                f"{book.versions[-1].version}, which does on {book.versions[-1].effective_from}: "
                "set a later `effective_from`."
            )
        await connection.execute(
            """
            INSERT INTO catalogue_versions (number, version, effective_from, document)
            VALUES ($1, $2, $3, $4)
            """,
            book.edition + 1,
            catalogue.version,
            catalogue.effective_from,
            catalogue.model_dump_json(),
        )
        return True


class CatalogueActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def newer_catalogues(self, known: KnownEdition) -> NewerCatalogues:
        return NewerCatalogues(newer=await newer_versions(self._pool, known.edition))
