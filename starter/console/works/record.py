"""What NAVER WORKS Admin reads and writes; all of it goes when its subscription is erased (R31)."""

from activities.database import Pool
from subscription.model import Frozen


class Administrator(Frozen):
    subscription_id: str
    admin_id: str
    password_hash: str


class Company(Frozen):
    company_name: str
    company_phone: str
    company_address: str | None


class Member(Frozen):
    member_id: str
    name: str | None


class WorksRecord:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def administrator(self, admin_id: str, name: str) -> Administrator | None:
        """Whoever `ID@name` is; a name that is held for a domain not proved yet is nobody's."""
        row = await self._pool.fetchrow(
            """
            SELECT administrators.subscription_id, admin_id, password_hash
              FROM administrators JOIN account_names USING (subscription_id)
             WHERE account_names.name = $1 AND admin_id = $2
            """,
            name,
            admin_id,
        )
        return Administrator.model_validate(dict(row)) if row else None

    async def company(self, subscription_id: str) -> Company | None:
        row = await self._pool.fetchrow(
            "SELECT company_name, company_phone, company_address FROM companies WHERE subscription_id = $1",
            subscription_id,
        )
        return Company.model_validate(dict(row)) if row else None

    async def set_company(self, subscription_id: str, company: Company) -> None:
        await self._pool.execute(
            """
            UPDATE companies SET company_name = $2, company_phone = $3, company_address = $4
             WHERE subscription_id = $1
            """,
            subscription_id,
            company.company_name,
            company.company_phone,
            company.company_address,
        )

    async def members(self, subscription_id: str) -> list[Member]:
        rows = await self._pool.fetch(
            "SELECT member_id, name FROM members WHERE subscription_id = $1 ORDER BY member_id LIMIT 1000",
            subscription_id,
        )
        return [Member.model_validate(dict(row)) for row in rows]

    async def add_member(self, subscription_id: str, member: Member) -> bool:
        """Add a member; return False if all seats are taken, the id is in use, or the data are erased."""
        added: bool = await self._pool.fetchval(
            "SELECT add_member($1, $2, $3)", subscription_id, member.member_id, member.name
        )
        return added

    async def remove_member(self, subscription_id: str, member_id: str) -> None:
        await self._pool.execute(
            "DELETE FROM members WHERE subscription_id = $1 AND member_id = $2", subscription_id, member_id
        )
