"""SQL of NAVER WORKS Admin (erased with the subscription, R31)."""

from collections.abc import Sequence

from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import ReadOnlyPool
from subscription.model import Frozen


class Company(Frozen):
    company_name: str
    company_phone: str
    company_address: str | None


class Member(Frozen):
    member_id: str
    name: str | None


class ListedMember(Frozen):
    """`is_locked` means that there are more members than seats, and this member was added last (R36)."""

    member: Member
    is_locked: bool


class WorksAdminRepository:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def password_hashes(self, subscription_ids: Sequence[str]) -> dict[str, str]:
        """Return the password hash of each administrator by subscription ID."""
        rows = await self._pool.fetch(
            "SELECT subscription_id, password_hash FROM administrators WHERE subscription_id = ANY($1)",
            list(subscription_ids),
        )
        return {row["subscription_id"]: row["password_hash"] for row in rows}

    async def company(self, subscription_id: str) -> Company | None:
        row = await self._pool.fetchrow(
            "SELECT company_name, company_phone, company_address FROM companies WHERE subscription_id = $1",
            subscription_id,
        )
        return Company.model_validate(dict(row)) if row else None

    async def set_company(self, subscription_id: str, company: Company, *, seen: Company) -> bool:
        """Replace the company information; return False if it differs from `seen` or was erased."""
        saved: bool | None = await self._pool.fetchval(
            """
            UPDATE companies SET company_name = $2, company_phone = $3, company_address = $4
             WHERE subscription_id = $1 AND company_name = $5 AND company_phone = $6
               AND company_address IS NOT DISTINCT FROM $7
            RETURNING true
            """,
            subscription_id,
            company.company_name,
            company.company_phone,
            company.company_address,
            seen.company_name,
            seen.company_phone,
            seen.company_address,
        )
        return saved is not None

    async def members(self, subscription_id: str, seats: int) -> list[ListedMember]:
        """Return up to 1,000 members by ID, locked members first. The administrator uses one of the seats."""
        rows = await self._pool.fetch(
            """
            SELECT member_id, name, row_number() OVER (ORDER BY number) >= $2 AS is_locked
              FROM members WHERE subscription_id = $1
             ORDER BY is_locked DESC, member_id LIMIT 1000
            """,
            subscription_id,
            seats,
        )
        return [
            ListedMember(
                member=Member(member_id=row["member_id"], name=row["name"]), is_locked=row["is_locked"]
            )
            for row in rows
        ]

    async def member(self, subscription_id: str, member_id: str) -> Member | None:
        row = await ReadOnlyPool(self._pool).fetchrow(
            "SELECT member_id, name FROM members WHERE subscription_id = $1 AND member_id = $2",
            subscription_id,
            member_id,
        )
        return Member.model_validate(dict(row)) if row else None

    async def add_member(self, subscription_id: str, member: Member) -> bool:
        """Add a member; return False if all seats are used, the ID is in use, or the data was erased."""
        added: bool = await self._pool.fetchval(
            "SELECT add_member($1, $2, $3)", subscription_id, member.member_id, member.name
        )
        return added

    async def remove_member(self, subscription_id: str, seen: Member) -> bool:
        """Remove a member; return False if no member has this ID and name any more."""
        removed: bool = await self._pool.fetchval(
            "SELECT remove_member($1, $2, $3)", subscription_id, seen.member_id, seen.name
        )
        return removed
