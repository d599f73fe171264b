"""Transitions of a subscription, read from its workflow histories."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio import activity
from temporalio.api.common.v1 import Header, Payload
from temporalio.api.history.v1 import (
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.executions import list_runs
from subscription.activity_contracts import (
    ACTIVITIES,
    DeleteHistoriesInput,
    Provisioned,
    Recorded,
    Transition,
)
from subscription.apply import apply_all
from subscription.events import Event
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.message_authentication import SEAL_HEADER, Seals
from subscription.state import Subscription

_TOLD = ("provision_subscription", "record_transition")
T = TypeVar("T")


@dataclass
class HistoryTransitions:
    """What the readable runs of a workflow tell, in the order in which it happened."""

    request: Mapping[str, Any] | None = None
    """The request that made it a subscription, and `begun`, the state in which it then was."""
    begun: Subscription | None = None
    transitions: list[Transition] = field(default_factory=list)
    """Those that were recorded."""
    ended: DeleteHistoriesInput | None = None
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


@dataclass(frozen=True)
class HistoryReader:
    """Reads histories, and believes of them what a worker has sealed: any client can write a history."""

    client: Client
    seals: Seals

    async def decoded(self, payloads: Sequence[Payload], shape: type[T]) -> T:
        [value] = await self.client.data_converter.decode(payloads, [shape])
        decoded: T = value
        return decoded

    async def is_call(self, workflow_id: str, asked: ActivityTaskScheduledEventAttributes) -> bool:
        """Return whether a worker has scheduled this activity."""
        argument = await self._data(asked.input.payloads)
        return self.seals.is_of_call(_seal(asked.header), workflow_id, asked.activity_type.name, argument)

    async def is_run(self, workflow_id: str, started: WorkflowExecutionStartedEventAttributes) -> bool:
        """Return whether a worker has started this run, as the one that follows another."""
        argument, previous = await self._data(started.input.payloads), started.continued_execution_run_id
        return self.seals.is_of_run(_seal(started.header), workflow_id, previous, argument)

    def is_result(self, workflow_id: str, name: str, result: Recorded | Provisioned) -> bool:
        """Return whether a worker has given this result of a local activity."""
        data = result.model_copy(update={"seal": ""}).model_dump_json().encode()
        return self.seals.is_of_result(result.seal, workflow_id, name, data)

    async def _data(self, payloads: Sequence[Payload]) -> list[bytes]:
        codec = self.client.data_converter.payload_codec
        return [payload.data for payload in (await codec.decode(payloads) if codec else payloads)]


def _seal(header: Header) -> str:
    return header.fields[SEAL_HEADER].data.decode(errors="replace")


async def transcript_of(reader: HistoryReader, subscription_id: str) -> HistoryTransitions:
    """Read every run that is still there, the oldest first."""
    client, workflow_id = reader.client, WORKFLOW_ID_PREFIX + subscription_id
    transcript = HistoryTransitions()
    for run in await list_runs(client, workflow_id):
        scheduled: dict[int, tuple[str, Sequence[Payload]]] = {}
        try:
            handle = client.get_workflow_handle(workflow_id, run_id=run.run_id)
            async for event in handle.fetch_history_events():
                await _read(reader, workflow_id, event, scheduled, transcript)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been deleted
                raise
        activity.heartbeat()
    return transcript


async def _read(
    reader: HistoryReader,
    workflow_id: str,
    event: HistoryEvent,
    scheduled: dict[int, tuple[str, Sequence[Payload]]],
    transcript: HistoryTransitions,
) -> None:
    if event.HasField("workflow_execution_started_event_attributes"):
        started = event.workflow_execution_started_event_attributes
        given = await _first(reader.client, started.input.payloads)
        is_stage = isinstance(given, Mapping) and "stage" in given
        if not is_stage or await reader.is_run(workflow_id, started):
            transcript.began_with(given)
    elif event.HasField("activity_task_scheduled_event_attributes"):
        asked = event.activity_task_scheduled_event_attributes
        name = asked.activity_type.name
        if name not in (*_TOLD, "delete_histories") or not await reader.is_call(workflow_id, asked):
            return
        if name == "delete_histories":
            transcript.ended = await reader.decoded(asked.input.payloads, DeleteHistoriesInput)
        else:
            scheduled[event.event_id] = (name, asked.input.payloads)
    elif event.HasField("activity_task_completed_event_attributes"):
        done = event.activity_task_completed_event_attributes
        name, argument = scheduled.pop(done.scheduled_event_id, ("", ()))
        if name:
            _, result_type = ACTIVITIES[name]
            result = await reader.decoded(done.result.payloads, result_type)
            await _learn(reader, argument, result, transcript)
    elif local := local_result(event):
        name, payloads = local
        if name in _TOLD:
            _, result_type = ACTIVITIES[name]
            result = await reader.decoded(payloads, result_type)
            if isinstance(result, Recorded | Provisioned) and reader.is_result(workflow_id, name, result):
                await _learn(reader, (), result, transcript)


async def _learn(
    reader: HistoryReader, argument: Sequence[Payload], result: Any, transcript: HistoryTransitions
) -> None:
    """What a step has come to. That of a local activity says in its result what else its argument says."""
    match result:
        case Recorded(events=()):
            transcript.recorded(await reader.decoded(argument, Transition))
        case Recorded(events=events):
            transcript.fell_due(events)
        case Provisioned(state=state):
            transcript.provisioned(state)


async def _first(client: Client, given: Sequence[Payload]) -> Any:
    values = await client.data_converter.decode(given)
    return values[0] if values else None


_LOCAL_ACTIVITY = "core_local_activity"


def local_result(event: HistoryEvent) -> tuple[str, Sequence[Payload]] | None:
    """The name and the result of the local activity that has succeeded by this event."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY or marker.HasField("failure"):
        return None
    [data] = marker.details["data"].payloads  # as the SDK's core writes it, past every converter and codec
    return json.loads(data.data)["activity_type"], marker.details["result"].payloads
