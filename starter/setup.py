"""Setup of the database and the Temporal namespace. Idempotent."""

from datetime import date

from temporalio.client import Client

from adapters.postgres.catalogue_repository import publish
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import create_pool
from adapters.temporal.search_attributes import register_search_attributes
from starter.schedules import ApplyResult, apply_schedules
from subscription.catalogue import Catalogue
from subscription.model import Frozen


class SetupReport(Frozen):
    """Changes made by a setup: migrations, catalogue version, search attributes, schedules."""

    migrations: tuple[str, ...]
    published: str | None
    search_attributes: tuple[str, ...]
    schedules: tuple[str, ...]


async def set_up(
    client: Client, owner_url: str, catalogue: Catalogue, *, today: date | None = None
) -> SetupReport:
    """Migrate the database at `owner_url`, publish the catalogue, and set up the namespace.

    `today` is for simulations; see `publish`. Raises `DatabaseError` or `PublishingError` for permanent
    errors.
    """
    migrations = await migrate(owner_url)
    async with create_pool(owner_url, "worksub_worker", connections=1) as pool:
        published = await publish(pool, catalogue, today=today)
    applied = await apply_schedules(client)
    return SetupReport(
        migrations=tuple(migrations),
        published=catalogue.version if published else None,
        search_attributes=tuple(await register_search_attributes(client)),
        schedules=tuple(name for name, result in applied.items() if result is not ApplyResult.UNCHANGED),
    )
