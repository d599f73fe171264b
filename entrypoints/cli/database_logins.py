"""Database logins in use: excess privileges and missing limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from adapters.postgres.pool import Pool, Role

_SIGNED_IN = """
    SELECT DISTINCT application_name AS process, rolname AS login, rolsuper AS is_superuser,
           rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
               OR pg_has_role(usesysid, relowner, 'MEMBER') AS is_owner,
           pg_has_role(usesysid, 'worksub_worker', 'MEMBER') AS is_worker
      FROM pg_stat_activity JOIN pg_roles ON pg_roles.oid = usesysid
           JOIN pg_class ON pg_class.oid = 'public.ledger_lines'::regclass
     WHERE datname = current_database() AND application_name LIKE 'worksub-%'
     ORDER BY process, login
"""
_WORKER = "worksub-worker"
# Members of the service's roles. Superusers are members of every role and have no limits. Settings of the
# login count, and those of the database.
_LOGINS = """
    SELECT rolname AS login, rolconnlimit >= 0 AS has_connection_limit,
           pg_has_role(login.oid, relowner, 'MEMBER') AS is_owner,
           has_function_privilege(login.oid, 'pg_catalog.lo_create(oid)', 'EXECUTE') AS makes_large_objects,
           ARRAY(SELECT split_part(setting, '=', 1)
                   FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
                  WHERE setrole IN (0, login.oid) AND setting !~ '=0[a-z]*$'
                    AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
           ) AS settings
      FROM pg_roles AS login JOIN pg_class ON pg_class.oid = 'public.ledger_lines'::regclass
     WHERE rolcanlogin AND NOT rolsuper
       AND EXISTS (SELECT FROM pg_roles AS role
                    WHERE role.rolname = ANY ($1) AND pg_has_role(login.oid, role.oid, 'MEMBER'))
     ORDER BY rolname
"""
_ROLES = [*get_args(Role), "worksub_product"]


@dataclass(frozen=True)
class DatabaseLogin:
    """A process that is connected now, by its name, and the login whose rights it has in the end."""

    process: str
    login: str
    is_superuser: bool
    is_owner: bool
    """Or may make roles, databases or replicas, or looks past row security."""
    is_worker: bool

    @property
    def excess(self) -> str | None:
        """What the login is that this process does not need."""
        if self.is_superuser:
            return "a superuser"
        if self.is_owner:
            return "an owner of the record or an administrator of the server"
        if self.is_worker and self.process != _WORKER:
            return "a login of the worker"
        return None

    @property
    def is_dangerous(self) -> bool:
        """Taken over, a process that is always there could change what is append-only."""
        return self.is_superuser or (self.is_owner and self.process == _WORKER)

    @property
    def text(self) -> str:
        words = f"{self.process} signs in as {self.login}"
        return f"{words}, {self.excess}" if self.excess else words


async def signed_in(pool: Pool) -> list[DatabaseLogin]:
    """Every process of the service that is connected to this database now, this one too."""
    return [DatabaseLogin(**row) for row in await pool.fetch(_SIGNED_IN)]


@dataclass(frozen=True)
class Login:
    """A login of the service, and the settings that it or the database has with a value other than 0."""

    login: str
    has_connection_limit: bool
    is_owner: bool
    makes_large_objects: bool
    settings: list[str]

    @property
    def text(self) -> str | None:
        """Return what the login lacks, or None if it has all limits."""
        lacks = list(self._lacks())
        return f"{self.login}: {', '.join(lacks)}" if lacks else None

    def _lacks(self) -> Iterator[str]:
        if not self.has_connection_limit:
            yield "no CONNECTION LIMIT"
        if not self.is_owner and "statement_timeout" not in self.settings:
            yield "no statement_timeout"
        if "idle_in_transaction_session_timeout" not in self.settings:
            yield "no idle_in_transaction_session_timeout"
        if self.makes_large_objects:
            yield "may create large objects"


async def logins(pool: Pool) -> list[Login]:
    """Return the logins of this server that are members of the service's roles."""
    return [Login(**row) for row in await pool.fetch(_LOGINS, _ROLES)]
