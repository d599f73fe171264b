"""Databases of service environments. An emptied database serves the next environment: a copy costs more."""

import asyncio
from weakref import WeakKeyDictionary

import asyncpg

from adapters.postgres.pool import Pool
from dev_stack.postgres_server import OWNER
from dev_stack.stack import EmbeddedStack

TEMPLATE = "worksub_template"
_KEPT = (
    "catalogue_versions",
    "catalogue_texts",
    "hash_keys",
    "worker_keys",
    "personal_data",
    "schema_migrations",
)

# Everything in a database except the rows of the other tables. The IDs are those of the template.
_STATE = f"""
SELECT md5(concat_ws(E'\\n',
    (SELECT string_agg(concat_ws(' ', oid, nspname, nspacl), ',' ORDER BY oid) FROM pg_namespace),
    (SELECT string_agg(concat_ws(' ', oid, relname, relacl, reloptions, relrowsecurity), ',' ORDER BY oid)
       FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull, attacl), ','
                       ORDER BY attrelid, attnum)
       FROM pg_attribute WHERE attrelid >= 16384),
    (SELECT string_agg(concat_ws(' ', oid, tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
    (SELECT string_agg(concat_ws(' ', oid, conname, convalidated), ',' ORDER BY oid) FROM pg_constraint),
    (SELECT string_agg(concat_ws(' ', oid, proname, proacl, prosrc), ',' ORDER BY oid)
       FROM pg_proc WHERE oid >= 16384),
    (SELECT count(*) FROM pg_db_role_setting JOIN pg_database AS database ON database.oid = setdatabase
      WHERE datname = current_database()),
    {", ".join(f"(SELECT string_agg(r::text, ',' ORDER BY r::text) FROM {table} AS r)" for table in _KEPT)}
))
"""
_EMPTIED = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> ALL ($1)
"""
# The template has one version.
_UNPUBLISHED = (
    "DELETE FROM catalogue_texts USING catalogue_versions AS of WHERE of.version = catalogue_texts.version"
    " AND of.number > 1",
    "DELETE FROM catalogue_versions WHERE number > 1",
)
_GUARDED = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'"

_creating = asyncio.Lock()
_free: WeakKeyDictionary[EmbeddedStack, list[str]] = WeakKeyDictionary()
_initial_states: WeakKeyDictionary[EmbeddedStack, str] = WeakKeyDictionary()


async def take_database(stack: EmbeddedStack, name: str) -> str:
    """Return the URL of a database without subscriptions: an emptied one, or a new one of this name."""
    free = _free.setdefault(stack, [])
    return free.pop() if free else await create_database(stack, name)


async def create_database(stack: EmbeddedStack, name: str, template: str = TEMPLATE) -> str:
    """Create a database of this name from the template; return its URL."""
    async with _creating:  # concurrent copies fail, because the template is then in use
        connection = await asyncpg.connect(stack.postgres.dsn())
        try:
            # The kernel copies the files: the default method writes each page to the WAL, at twice the cost.
            await connection.execute("SET file_copy_method = clone")
            await connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY FILE_COPY"
            )
        finally:
            await connection.close()
    return stack.postgres.dsn(name, OWNER)


async def remember_initial_state(stack: EmbeddedStack, owner: Pool) -> None:
    """Store the state that a database must have again to serve another environment."""
    if stack not in _initial_states:
        _initial_states[stack] = await owner.fetchval(_STATE)


async def give_back_database(stack: EmbeddedStack, url: str, owner: Pool, *others: Pool) -> None:
    """Empty the database for the next environment, unless a test has changed more than rows.

    A database with connections that are not in these pools is not emptied: a process may still write to it.
    """
    opened = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with owner.acquire() as connection, connection.transaction():
        if await connection.fetchval(opened) > sum(pool.get_size() for pool in (owner, *others)):
            return
        emptied = [table for [table] in await connection.fetch(_EMPTIED, _KEPT)]
        guarded = [table for [table] in await connection.fetch(_GUARDED)]
        statements = [
            "SET LOCAL session_replication_role = replica",  # no foreign keys and other triggers
            *(f"ALTER TABLE {table} DISABLE TRIGGER append_only" for table in guarded),
            *(f"DELETE FROM {table}" for table in emptied),  # TRUNCATE would write new files for each table
            *_UNPUBLISHED,
            *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only" for table in guarded),
        ]
        await connection.execute(";".join(statements))
        if await connection.fetchval(_STATE) == _initial_states[stack]:
            _free[stack].append(url)
