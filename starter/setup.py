"""Making a database and a namespace ready for the service; doing it again changes nothing."""

from temporalio.client import Client

from activities.catalogues import publish
from activities.database import connected
from activities.schema import migrate
from subscription.catalogue import Catalogue
from subscription.model import Frozen
from workflows.registration import register_search_attributes


class SetUp(Frozen):
    """What was missing and has been added: migrations, the catalogue version, search attributes."""

    migrations: tuple[str, ...]
    published: str | None
    search_attributes: tuple[str, ...]


async def set_up(client: Client, owner_url: str, catalogue: Catalogue) -> SetUp:
    """Migrate the database at `owner_url`, publish the catalogue, register the search attributes.

    Raises `DatabaseError` or `PublishingError` where waiting will not help.
    """
    migrations = await migrate(owner_url)
    async with connected(owner_url, "worksub_worker", connections=1) as pool:
        published = await publish(pool, catalogue)
    return SetUp(
        migrations=tuple(migrations),
        published=catalogue.version if published else None,
        search_attributes=tuple(await register_search_attributes(client)),
    )
