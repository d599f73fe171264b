"""Activity that loads catalogue versions which a workflow does not know (R19)."""

from temporalio import activity

from adapters.postgres.catalogue_repository import newer_versions
from adapters.postgres.pool import Pool
from subscription.activity_contracts import KnownEdition, NewerCatalogues


class CatalogueActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def newer_catalogues(self, known: KnownEdition) -> NewerCatalogues:
        return NewerCatalogues(newer=await newer_versions(self._pool, known.edition))
