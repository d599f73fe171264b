"""What a workflow's histories say was recorded: the record's own copy, for as long as Temporal keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.runs import listed_runs
from subscription.effects import (
    ACTIVITIES,
    WORKFLOW_ID_PREFIX,
    DeleteHistories,
    Provision,
    Provisioned,
    Recorded,
    Transition,
)
from subscription.state import Subscription

_TOLD = ("provision_subscription", "record_transition", "delete_histories")
T = TypeVar("T")


@dataclass
class Transcript:
    """What the readable runs of a workflow tell, in the order in which it happened."""

    request: Mapping[str, Any] | None = None
    """The request that made it a subscription, and `begun`, the state in which it then was."""
    begun: Subscription | None = None
    transitions: list[Transition] = field(default_factory=list)
    """Those that were recorded."""
    ended: DeleteHistories | None = None
    """What its last run does, if it has ended."""

    @property
    def last_state(self) -> Subscription | None:
        return self.transitions[-1].state if self.transitions else self.begun


async def transcript_of(client: Client, subscription_id: str) -> Transcript:
    """Read every run that is still there, the oldest first."""
    workflow_id = WORKFLOW_ID_PREFIX + subscription_id
    transcript = Transcript()
    for run in await listed_runs(client, workflow_id):
        scheduled: dict[int, tuple[str, Sequence[Payload]]] = {}
        try:
            handle = client.get_workflow_handle(workflow_id, run_id=run.run_id)
            async for event in handle.fetch_history_events():
                await _read(client, event, scheduled, transcript)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been deleted
                raise
        activity.heartbeat()
    return transcript


async def _read(
    client: Client,
    event: HistoryEvent,
    scheduled: dict[int, tuple[str, Sequence[Payload]]],
    transcript: Transcript,
) -> None:
    if event.HasField("activity_task_scheduled_event_attributes"):
        asked = event.activity_task_scheduled_event_attributes
        name = asked.activity_type.name
        if name == "delete_histories":
            transcript.ended = await _decoded(client, asked.input.payloads, DeleteHistories)
        elif name in _TOLD:
            scheduled[event.event_id] = (name, asked.input.payloads)
    elif event.HasField("activity_task_completed_event_attributes"):
        done = event.activity_task_completed_event_attributes
        name, argument = scheduled.pop(done.scheduled_event_id, ("", ()))
        if name:
            _, result_type = ACTIVITIES[name]
            match await _decoded(client, done.result.payloads, result_type):
                case Recorded():
                    transcript.transitions.append(await _decoded(client, argument, Transition))
                case Provisioned(state=state):
                    transcript.ended = None
                    if state.sequence == 1:  # a workflow that was started anew goes on from a later state
                        provision = await _decoded(client, argument, Provision)
                        transcript.request, transcript.begun = provision.request, state


async def _decoded(client: Client, payloads: Sequence[Payload], shape: type[T]) -> T:
    [value] = await client.data_converter.decode(payloads, [shape])
    decoded: T = value
    return decoded
