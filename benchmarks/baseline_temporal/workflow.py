"""The baseline on Temporal: request, trial and paid months, as an experienced user would first write them.

It has a regular activity for each step, and a timer and an activity per month. One update requests the
subscription, another one switches it to paid. It has no other feature of worksub: no cancellation, upgrade,
renewal, domain verification or erasure, no search attributes, no timeline, and no validation of the request.
"""

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from benchmarks.baseline_temporal.activities import PlainActivities
    from benchmarks.baseline_temporal.tables import (
        PRICES,
        TRIAL,
        Fact,
        ServiceFee,
        Start,
        Switch,
        TrialStarted,
    )

TASK_QUEUE = "plain"

_KST = timezone(timedelta(hours=9))
_ONE_ATTEMPT = timedelta(seconds=60)


@workflow.defn
class PlainSubscription:
    @workflow.init
    def __init__(self, start: Start) -> None:
        self._request = start.request
        self._ahead = timedelta(seconds=start.seconds_ahead)
        self._trial_ends_at: datetime | None = None
        self._switch_at = start.paid_from
        self._refused: str | None = None

    @workflow.run
    async def run(self, start: Start) -> str:
        month_from = start.paid_from
        if month_from is None:
            if not await self._provision():
                await workflow.wait_condition(workflow.all_handlers_finished)
                return "REJECTED"
            month_from = await self._trial()
            if month_from is None:
                await self._record("LAPSED")
                return "LAPSED"
            await self._record("ACTIVE")
        while True:
            month_from = await self._bill_month(month_from)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(Start(self._request, month_from, self._ahead.total_seconds()))

    async def _provision(self) -> bool:
        try:
            await self._do(PlainActivities.take_name, self._request)
        except ActivityError as error:
            self._refused = str(error.cause)
            return False
        await self._do(PlainActivities.create_account, self._request)
        await self._do(PlainActivities.create_administrator, self._request)
        await self._do(PlainActivities.create_workspace, self._request)
        await self._record("TRIAL")
        self._trial_ends_at = self._now() + TRIAL
        return True

    async def _trial(self) -> datetime | None:
        """Return the start of the paid months; None if the trial ends without a switch."""
        assert self._trial_ends_at is not None
        try:
            await workflow.wait_condition(
                lambda: self._switch_at is not None, timeout=self._trial_ends_at - self._now()
            )
        except TimeoutError:
            return None
        assert self._switch_at is not None
        await workflow.sleep(max(self._switch_at - self._now(), timedelta(0)))
        return self._switch_at

    async def _bill_month(self, month_from: datetime) -> datetime:
        first = month_from.astimezone(_KST)
        days = calendar.monthrange(first.year, first.month)[1]
        until = first.replace(day=1) + timedelta(days=days)
        await workflow.sleep(max(until - self._now(), timedelta(0)))
        price = PRICES[self._request.plan] * self._request.members
        amount = price * (until - first).days // days
        fee = ServiceFee(self._request.subscription_id, first, until, amount)
        await self._do(PlainActivities.post_service_fee, fee)
        return until

    def _now(self) -> datetime:
        return workflow.now() + self._ahead

    async def _record(self, state: str) -> None:
        request = self._request
        fact = Fact(request.subscription_id, request.customer_id, state, self._now())
        await self._do(PlainActivities.record, fact)

    async def _do(self, activity: Callable[..., Any], argument: Any) -> None:
        await workflow.execute_activity_method(activity, argument, start_to_close_timeout=_ONE_ATTEMPT)

    @workflow.update
    async def request(self) -> TrialStarted:
        """Wait until the trial has started, and return the response to the request."""
        await workflow.wait_condition(lambda: self._trial_ends_at is not None or self._refused is not None)
        if self._refused is not None:
            raise ApplicationError(self._refused, type="NAME_TAKEN")
        assert self._trial_ends_at is not None
        return TrialStarted(self._request.subscription_id, self._trial_ends_at)

    @workflow.update
    def switch_to_paid(self, switch: Switch) -> None:
        self._switch_at = switch.at

    @switch_to_paid.validator
    def _only_during_the_trial(self, switch: Switch) -> None:
        if self._trial_ends_at is None or self._switch_at is not None or switch.at > self._trial_ends_at:
            raise ApplicationError("A switch must be requested once, for a day of the trial.")
