"""Price book of the published catalogue versions, with the texts and functions of their plans."""

from collections.abc import Mapping
from functools import lru_cache

from asyncpg import Record
from pydantic import ConfigDict, TypeAdapter

from adapters.postgres.read_only_pool import Reader
from subscription.catalogue import Catalogue, CatalogueTexts, LocalizedList, PriceBook

_FUNCTIONS: TypeAdapter[dict[str, LocalizedList | None]] = TypeAdapter(
    dict[str, LocalizedList | None], config=ConfigDict(defer_build=True)
)


async def load_texts(reader: Reader, version: str) -> CatalogueTexts | None:
    """Return the texts of a version; None if a restored version has not been published again since."""
    document = await reader.fetchval("SELECT document FROM catalogue_texts WHERE version = $1", version)
    return CatalogueTexts.model_validate_json(document) if document else None


@lru_cache(maxsize=100)
def _read(document: str) -> Catalogue:
    """Parse a version. The result is cached, because published versions never change."""
    return Catalogue.model_validate_json(document)


async def load_price_book(reader: Reader) -> PriceBook:
    """Return the complete price book: every published version."""
    rows = await reader.fetch("SELECT document FROM catalogue_versions ORDER BY number")
    return PriceBook(versions=tuple(_read(row["document"]) for row in rows))


PRICE_BOOK_COLUMN = (
    "(SELECT array_agg(document::text ORDER BY number) FROM catalogue_versions) AS catalogue_documents"
)
"""Column with all published versions, to read the price book with other data in one statement."""


PLAN_FUNCTIONS_COLUMN = """
    (SELECT jsonb_object_agg(version, document -> 'functions' -> plan) FROM catalogue_texts) AS plan_functions
"""
"""Column with the functions of the subscription's plan by catalogue version."""


def plan_functions_from_row(row: Record) -> Mapping[str, LocalizedList | None]:
    """Return the functions of a row with `PLAN_FUNCTIONS_COLUMN`."""
    return _FUNCTIONS.validate_json(row["plan_functions"] or "{}")


def price_book_from_row(row: Record) -> PriceBook:
    """Return the price book of a row with `PRICE_BOOK_COLUMN`."""
    return PriceBook(versions=tuple(_read(document) for document in row["catalogue_documents"] or ()))
