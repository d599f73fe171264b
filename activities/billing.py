"""Activity that posts the service fees of a month."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from subscription.activity_contracts import RecordResult, Transition


class BillingActivities:
    """`record` records a transition in one transaction; its ledger lines are the charges."""

    def __init__(self, record: Callable[[Transition], Awaitable[RecordResult]]) -> None:
        self._record = record

    @activity.defn
    async def post_charges(self, transition: Transition) -> RecordResult:
        """Record the service fees of a month (R21). Repeating it changes nothing.

        The activity has its own name so that charges are visible in the Web UI, traces and metrics.
        """
        return await self._record(transition)
