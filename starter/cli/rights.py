"""As whom the processes of the service sign in to PostgreSQL, and whether that is more than they need."""

from dataclasses import dataclass

from activities.database import Pool

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


@dataclass(frozen=True)
class SignedIn:
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


async def signed_in(pool: Pool) -> list[SignedIn]:
    """Every process of the service that is connected to this database now, this one too."""
    return [SignedIn(**row) for row in await pool.fetch(_SIGNED_IN)]
