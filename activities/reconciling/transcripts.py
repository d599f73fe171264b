"""What a workflow's histories say was recorded: the record's own copy, for as long as Temporal keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.reconciling.markers import local_result
from activities.runs import listed_runs
from subscription.apply import apply_all
from subscription.effects import (
    ACTIVITIES,
    WORKFLOW_ID_PREFIX,
    DeleteHistories,
    Provisioned,
    Recorded,
    Transition,
)
from subscription.events import Event
from subscription.state import Subscription

_TOLD = ("provision_subscription", "record_transition")
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

    _given: Any = None
    """What the run that is being read began with, and the state in which it then is."""
    _state: Subscription | None = None

    def began_with(self, given: Any) -> None:
        self._given = given
        if isinstance(given, Mapping) and given.get("stage") == "RESUMED":
            self._state = Subscription.model_validate(given["state"])

    def provisioned(self, state: Subscription) -> None:
        self.ended, self._state = None, state
        # A workflow that was started anew goes on from a later state.
        if state.sequence == 1 and isinstance(self._given, Mapping):
            self.begun, self.request = state, self._given

    def recorded(self, transition: Transition) -> None:
        self._state = transition.state
        self.transitions.append(transition)

    def fell_due(self, events: tuple[Event, ...]) -> None:
        """Nobody has asked for these, so they and what was before tell all of their transition."""
        assert self._state is not None, "a run is given its state, or is provisioned first"
        before = self._state
        self.recorded(
            Transition(
                subscription_id=before.subscription_id,
                first_sequence=before.sequence + 1,
                events=events,
                state=apply_all(before, events),
                edition=0,
            )
        )

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
    if event.HasField("workflow_execution_started_event_attributes"):
        given = event.workflow_execution_started_event_attributes.input.payloads
        transcript.began_with(await _first(client, given))
    elif event.HasField("activity_task_scheduled_event_attributes"):
        asked = event.activity_task_scheduled_event_attributes
        name = asked.activity_type.name
        if name == "delete_histories":
            transcript.ended = await _decoded(client, asked.input.payloads, DeleteHistories)
        elif name in _TOLD:
            scheduled[event.event_id] = (name, asked.input.payloads)
    elif event.HasField("activity_task_completed_event_attributes"):
        done = event.activity_task_completed_event_attributes
        name, argument = scheduled.pop(done.scheduled_event_id, ("", ()))
        await _learn(client, name, argument, done.result.payloads, transcript)
    elif local := local_result(event):
        name, result = local
        await _learn(client, name, (), result, transcript)


async def _learn(
    client: Client, name: str, argument: Sequence[Payload], result: Sequence[Payload], transcript: Transcript
) -> None:
    """What a step has come to. That of a local activity says in its result what else its argument says."""
    if name not in _TOLD:
        return
    _, result_type = ACTIVITIES[name]
    match await _decoded(client, result, result_type):
        case Recorded(events=()):
            transcript.recorded(await _decoded(client, argument, Transition))
        case Recorded(events=events):
            transcript.fell_due(events)
        case Provisioned(state=state):
            transcript.provisioned(state)


async def _first(client: Client, given: Sequence[Payload]) -> Any:
    values = await client.data_converter.decode(given)
    return values[0] if values else None


async def _decoded(client: Client, payloads: Sequence[Payload], shape: type[T]) -> T:
    [value] = await client.data_converter.decode(payloads, [shape])
    decoded: T = value
    return decoded
