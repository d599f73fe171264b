"""A growing number of worksub subscriptions, in the database and as idle workflows."""

from datetime import datetime

from adapters.postgres.pool import create_pool
from benchmarks.database_fixtures import TEMPLATE, copy_template, create_template
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.workflow_fixtures import seed_ours
from subscription.business_calendar import KST, day_of

_MONTHS = 3


class IdleSubscriptions:
    def __init__(self, env: BenchmarkEnvironment) -> None:
        self._env = env
        self._number = 0

    async def grow_to(self, number: int) -> None:
        if number == self._number:
            return
        ids = []
        if not self._number:
            await self._create_template()
            ids.append(str(TEMPLATE))
        numbers = range(max(self._number - 1, 0), number - 1)
        if numbers:
            ids += await copy_template(self._env.owner, numbers)
        async with self._env.our_worker():
            await seed_ours(self._env, ids, self._env.book)
        self._number = number

    async def _create_template(self) -> None:
        async with create_pool(self._env.worker_url, "worksub_worker", connections=1) as pool:
            await create_template(pool, self._env.book, day_of(datetime.now(KST)), _MONTHS)
