"""Queries of the catalogue and of account names."""

from datetime import datetime
from enum import StrEnum

from adapters.postgres.price_book_repository import load_texts
from adapters.postgres.recorded_subscription import count_trials
from starter.recorded_state_queries import RecordedStateQueries
from subscription.account import Account
from subscription.business_calendar import KST, day_of
from subscription.catalogue import Catalogue
from subscription.model import Frozen
from subscription.refusals import Refusal
from subscription.request import too_many_trials_refusal


class NameStatus(StrEnum):
    """TAKEN: a subscription holds the name. CLAIMED: available, but other subscriptions claim the domain too.

    The first claimant that verifies the domain holds it.
    """

    AVAILABLE = "AVAILABLE"
    CLAIMED = "CLAIMED"
    TAKEN = "TAKEN"


class NameAvailability(Frozen):
    """Availability of an account name at present. Only a request takes or claims the name (R5).

    `available` is true for AVAILABLE and CLAIMED.
    """

    name: str
    kind: str
    available: bool
    status: NameStatus


class CatalogueQueries(RecordedStateQueries):
    """The catalogue on sale, the room for a trial, and the availability of names."""

    async def catalogue(self) -> Catalogue | None:
        """Return the catalogue on sale today, by the real clock, with its texts (R2, R3, R19).

        Return None if no version is in force yet.
        """
        catalogue = (await self.price_book()).in_force(day_of(datetime.now(KST)))
        return catalogue and await self.with_texts(catalogue)

    async def with_texts(self, catalogue: Catalogue) -> Catalogue:
        """Return a published version with its texts, which the price book does not have."""
        texts = await load_texts(self._pool, catalogue.version)
        return catalogue.with_texts(texts) if texts else catalogue

    async def trial_refusal(self, catalogue: Catalogue) -> Refusal | None:
        """Return the refusal of a further trial of the customer (R2); None if there is room for one."""
        if catalogue.trial.per_customer is None:
            return None
        trials = await count_trials(self._pool, self._own_customer())
        return too_many_trials_refusal(catalogue, trials)

    async def check_name(self, account: Account) -> NameAvailability:
        status = NameStatus(
            await self._pool.fetchval(
                """
                SELECT CASE WHEN bool_or(status = 'HELD') THEN 'TAKEN'
                            WHEN bool_or(status = 'CLAIMED') THEN 'CLAIMED' ELSE 'AVAILABLE' END
                  FROM account_names WHERE name = $1
                """,
                account.name,
            )
        )
        available = status is not NameStatus.TAKEN
        return NameAvailability(name=account.name, kind=account.kind, available=available, status=status)
