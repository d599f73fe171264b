"""Activity interceptor that heartbeats while an activity of a subscription runs.

Without them an effect whose worker was killed would be tried again only once its time is up, a minute later,
with somebody waiting for the answer. Jobs work through pages, and give their own signs.
"""

import asyncio
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from subscription.ids import subscription_id_of

_EVERY_SECONDS = 3.0


class _HeartbeatInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.heartbeat_timeout is None or subscription_id_of(info.workflow_id or "") is None:
            return await super().execute_activity(input)
        signs = asyncio.create_task(_give_signs())
        try:
            return await super().execute_activity(input)
        finally:
            signs.cancel()


async def _give_signs() -> None:
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        activity.heartbeat()


class HeartbeatInterceptor(Interceptor):
    """Heartbeats for as long as an activity of a subscription runs."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _HeartbeatInbound(next)
