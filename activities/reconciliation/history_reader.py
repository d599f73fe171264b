"""Transitions of a subscription, read from its workflow histories."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
    DeleteHistoriesInput,
    Provisioned,
    ProvisionResult,
    Recorded,
    RecordResult,
    Transition,
)
from subscription.apply import apply_all
from subscription.event_documents import EventDocument, event_from_document
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.message_authentication import SIGNATURE_HEADER, MessageSigner
from subscription.state import Subscription

_RESULT_TYPES: Mapping[str, Any] = {
    "provision_subscription": ProvisionResult,
    "record_transition": RecordResult,
    "post_charges": RecordResult,
}
"""The activities that record transitions, with the types of their results."""

T = TypeVar("T")


@dataclass
class HistoryTransitions:
    """Transitions in the readable runs of a workflow, in order."""

    request: Mapping[str, Any] | None = None
    """The subscription request; `provisioned_state` is the state after it was provisioned."""
    provisioned_state: Subscription | None = None
    transitions: list[Transition] = field(default_factory=list)
    """The recorded transitions."""
    ended: DeleteHistoriesInput | None = None
    """Input of the cleanup, if the workflow has ended."""

    _run_input: Any = None
    """The input of the run that is being read; `_state` is the state so far."""
    _state: Subscription | None = None

    def set_run_input(self, run_input: Any) -> None:
        self._run_input = run_input
        if isinstance(run_input, Mapping) and run_input.get("stage") == "RESUME":
            self._state = Subscription.model_validate(run_input["state"])

    def set_provisioned(self, state: Subscription) -> None:
        self.ended, self._state = None, state
        # A restarted workflow resumes from a later state.
        if state.sequence == 1 and isinstance(self._run_input, Mapping):
            self.provisioned_state, self.request = state, self._run_input

    def add_transition(self, transition: Transition) -> None:
        self._state = transition.state
        self.transitions.append(transition)

    def add_deadline_events(self, documents: Sequence[EventDocument]) -> None:
        """Add deadline events. They need no command: events and previous state determine the transition."""
        assert self._state is not None, "a run starts with a state, or is provisioned first"
        before = self._state
        events = tuple(event_from_document(before.subscription_id, document) for document in documents)
        self.add_transition(
            Transition(
                subscription_id=before.subscription_id,
                first_sequence=before.sequence + 1,
                events=events,
                state=apply_all(before, events),
                revision=0,
            )
        )

    @property
    def last_state(self) -> Subscription | None:
        return self.transitions[-1].state if self.transitions else self.provisioned_state


@dataclass(frozen=True)
class HistoryReader:
    """Reads histories and accepts only parts signed by a worker, because any client can write a history."""

    client: Client
    signer: MessageSigner

    async def decode(self, payloads: Sequence[Payload], model: type[T]) -> T:
        [value] = await self.client.data_converter.decode(payloads, [model])
        decoded: T = value
        return decoded

    async def is_call(
        self, workflow_id: str, scheduled_activity: ActivityTaskScheduledEventAttributes
    ) -> bool:
        """Return whether a worker has scheduled this activity."""
        argument = await self._data(scheduled_activity.input.payloads)
        return self.signer.is_of_call(
            _signature(scheduled_activity.header),
            workflow_id,
            scheduled_activity.activity_type.name,
            argument,
        )

    async def is_run(self, workflow_id: str, started: WorkflowExecutionStartedEventAttributes) -> bool:
        """Return whether a worker has started this run as the continuation of another run."""
        argument, previous = await self._data(started.input.payloads), started.continued_execution_run_id
        return self.signer.is_of_run(_signature(started.header), workflow_id, previous, argument)

    def is_result(self, workflow_id: str, name: str, result: Recorded | Provisioned) -> bool:
        """Return whether a worker has signed this result of a local activity."""
        data = result.model_copy(update={"signature": ""}).model_dump_json().encode()
        return self.signer.is_of_result(result.signature, workflow_id, name, data)

    async def _data(self, payloads: Sequence[Payload]) -> list[bytes]:
        codec = self.client.data_converter.payload_codec
        return [payload.data for payload in (await codec.decode(payloads) if codec else payloads)]


def _signature(header: Header) -> str:
    return header.fields[SIGNATURE_HEADER].data.decode(errors="replace")


async def read_history(reader: HistoryReader, subscription_id: str) -> HistoryTransitions:
    """Read every remaining run, the oldest first."""
    client, workflow_id = reader.client, WORKFLOW_ID_PREFIX + subscription_id
    history = HistoryTransitions()
    for run in await list_runs(client, workflow_id):
        scheduled: dict[int, tuple[str, Sequence[Payload]]] = {}
        try:
            handle = client.get_workflow_handle(workflow_id, run_id=run.run_id)
            async for event in handle.fetch_history_events():
                await _read_event(reader, workflow_id, event, scheduled, history)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been deleted
                raise
    return history


async def _read_event(
    reader: HistoryReader,
    workflow_id: str,
    event: HistoryEvent,
    scheduled: dict[int, tuple[str, Sequence[Payload]]],
    history: HistoryTransitions,
) -> None:
    if event.HasField("workflow_execution_started_event_attributes"):
        started = event.workflow_execution_started_event_attributes
        run_input = await _decode_first(reader.client, started.input.payloads)
        has_stage = isinstance(run_input, Mapping) and "stage" in run_input
        if not has_stage or await reader.is_run(workflow_id, started):
            history.set_run_input(run_input)
    elif event.HasField("activity_task_scheduled_event_attributes"):
        scheduled_activity = event.activity_task_scheduled_event_attributes
        name = scheduled_activity.activity_type.name
        if name not in (*_RESULT_TYPES, "delete_histories") or not await reader.is_call(
            workflow_id, scheduled_activity
        ):
            return
        if name == "delete_histories":
            history.ended = await reader.decode(scheduled_activity.input.payloads, DeleteHistoriesInput)
        else:
            scheduled[event.event_id] = (name, scheduled_activity.input.payloads)
    elif event.HasField("activity_task_completed_event_attributes"):
        completed = event.activity_task_completed_event_attributes
        name, argument = scheduled.pop(completed.scheduled_event_id, ("", ()))
        if name:
            result = await reader.decode(completed.result.payloads, _RESULT_TYPES[name])
            await _add_result(reader, argument, result, history)
    elif local := local_result(event):
        name, payloads = local
        if name in _RESULT_TYPES:
            result = await reader.decode(payloads, _RESULT_TYPES[name])
            if isinstance(result, Recorded | Provisioned) and reader.is_result(workflow_id, name, result):
                await _add_result(reader, (), result, history)


async def _add_result(
    reader: HistoryReader, argument: Sequence[Payload], result: Any, history: HistoryTransitions
) -> None:
    """Add the transition of a completed activity.

    The history contains no argument of a local activity; its result contains the events instead.
    """
    match result:
        case Recorded(events=()):
            history.add_transition(await reader.decode(argument, Transition))
        case Recorded(events=documents):
            history.add_deadline_events(documents)
        case Provisioned(state=state):
            history.set_provisioned(state)


async def _decode_first(client: Client, payloads: Sequence[Payload]) -> Any:
    values = await client.data_converter.decode(payloads)
    return values[0] if values else None


_LOCAL_ACTIVITY = "core_local_activity"


def local_result(event: HistoryEvent) -> tuple[str, Sequence[Payload]] | None:
    """Return name and result of the local activity that this event completes; None for other events."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY or marker.HasField("failure"):
        return None
    [data] = marker.details["data"].payloads  # written by the SDK core, without converter and codec
    return json.loads(data.data)["activity_type"], marker.details["result"].payloads
