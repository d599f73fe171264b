"""Activity that loads catalogue versions which a workflow does not know (R19)."""

from temporalio import activity

from adapters.postgres.catalogue_repository import versions_after
from adapters.postgres.pool import Pool
from subscription.activity_contracts import NewerCataloguesInput, NewerCataloguesResult


class CatalogueActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def get_newer_catalogues(self, known: NewerCataloguesInput) -> NewerCataloguesResult:
        return NewerCataloguesResult(newer=await versions_after(self._pool, known.revision))
