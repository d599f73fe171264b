"""Activity interceptor that heartbeats while an activity of a subscription or of a bulk run runs.

Without heartbeats, Temporal would retry an activity of a killed worker only after its timeout of one minute,
while a client waits for the response. Activities of scheduled jobs process pages and heartbeat themselves.
"""

import asyncio
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_EVERY_SECONDS = 3.0
_WORKFLOWS = ("SubscriptionWorkflow", "BulkWorkflow")


class _HeartbeatInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.heartbeat_timeout is None or info.workflow_type not in _WORKFLOWS:
            return await super().execute_activity(input)
        heartbeats = asyncio.create_task(_send_heartbeats())
        try:
            return await super().execute_activity(input)
        finally:
            heartbeats.cancel()


async def _send_heartbeats() -> None:
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        activity.heartbeat()


class HeartbeatInterceptor(Interceptor):
    """Send heartbeats while an activity of a subscription runs."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _HeartbeatInbound(next)
