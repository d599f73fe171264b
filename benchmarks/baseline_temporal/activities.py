"""The activities of the baseline on Temporal, one for each step.

They are not in `workflow.py`, because the default sandbox reloads that module for every workflow.
"""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from benchmarks.baseline_temporal.tables import Fact, NameTakenError, Request, ServiceFee, Tables


class PlainActivities:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @activity.defn
    async def take_name(self, request: Request) -> None:
        try:
            await self._tables.take_name(request)
        except NameTakenError as error:
            raise ApplicationError(str(error), type="NAME_TAKEN", non_retryable=True) from None

    @activity.defn
    async def create_account(self, request: Request) -> None:
        await self._tables.create_account(request)

    @activity.defn
    async def create_administrator(self, request: Request) -> None:
        await self._tables.create_administrator(request)

    @activity.defn
    async def create_workspace(self, request: Request) -> None:
        await self._tables.create_workspace(request)

    @activity.defn
    async def record(self, fact: Fact) -> None:
        await self._tables.record(fact)

    @activity.defn
    async def post_service_fee(self, fee: ServiceFee) -> None:
        await self._tables.post_service_fee(fee)
