"""Check of the database logins in use: excess privileges and missing limits."""

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
    """A connected process, by its application name, and its login."""

    process: str
    login: str
    is_superuser: bool
    is_owner: bool
    """Also true if the login can create roles or databases, replicate, or bypass row security."""
    is_worker: bool

    @property
    def excess(self) -> str | None:
        """Return the privilege of the login that this process does not need, or None."""
        if self.is_superuser:
            return "a superuser"
        if self.is_owner:
            return "an owner of the tables or a server administrator"
        if self.is_worker and self.process != _WORKER:
            return "a login of the worker"
        return None

    @property
    def is_dangerous(self) -> bool:
        """Return whether an attacker in control of this process could change append-only tables."""
        return self.is_superuser or (self.is_owner and self.process == _WORKER)

    @property
    def text(self) -> str:
        text = f"{self.process} signs in as {self.login}"
        return f"{text}, {self.excess}" if self.excess else text


async def connected_logins(pool: Pool) -> list[DatabaseLogin]:
    """Return the processes of the service that are connected to this database, including this one."""
    return [DatabaseLogin(**row) for row in await pool.fetch(_SIGNED_IN)]


@dataclass(frozen=True)
class Login:
    """A login of the service, with the settings that are not 0 for the login or for the database."""

    login: str
    has_connection_limit: bool
    is_owner: bool
    makes_large_objects: bool
    settings: list[str]

    @property
    def text(self) -> str | None:
        """Return the missing limits of the login, or None if it has all limits."""
        missing = list(self._missing_limits())
        return f"{self.login}: {', '.join(missing)}" if missing else None

    def _missing_limits(self) -> Iterator[str]:
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
