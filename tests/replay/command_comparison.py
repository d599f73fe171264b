"""Replay of a recorded subscription with the current code, and comparison of its commands in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    HandleUpdateInput,
    Interceptor,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from subscription.activity_contracts import Recorded
from subscription.event_documents import event_from_document
from workflows.registry import replay_failure_reason, replayer

from .corpus import RecordedScenario
from .recorded_effects import Effect, effects_of, first

WORDS = frozenset({"message", "summary"})
"""Fields with texts for users. A release may change them, because no decision depends on them."""


async def differences(subscription: RecordedScenario) -> list[str]:
    """Return the differences between the current code and the release that recorded this, per run."""
    watch = Watch()
    today = replayer(watch)
    found = []
    for number, run in enumerate(subscription.runs, start=1):
        watch.forget()
        where = f"run {number} of {len(subscription.runs)}, {run.workflow_id}"
        try:
            await today.replay_workflow(run)
        except Exception as error:
            found.append(f"{where}: it does not replay: {replay_failure_reason(error)}")
        else:
            found += [f"{where}, {difference}" for difference in _differences(run, watch)]
    return found


@dataclass
class Watch(Interceptor):
    """Interceptor that keeps the commands, responses and results of the replayed workflow."""

    activities: list[tuple[str, Any]] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    end: Any = None
    is_executed: bool = False

    def forget(self) -> None:
        self.activities.clear()
        self.outcomes.clear()
        self.end = None
        self.is_executed = False

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        watch = self

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                watch.activities.append((input.activity, input.args[0]))
                return super().start_activity(input)

            def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
                watch.activities.append((input.activity, input.args[0]))
                return super().start_local_activity(input)

            def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
                watch.end = input.args[0]
                super().continue_as_new(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                watch.is_executed = True
                try:
                    watch.end = await super().execute_workflow(input)
                except ApplicationError as failure:
                    watch.end = failure.type
                    raise
                return watch.end

            async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
                try:
                    answer = await super().handle_update_handler(input)
                except ApplicationError as refusal:
                    watch.outcomes[input.id] = refusal.type
                    raise
                watch.outcomes[input.id] = answer
                return answer

        return Inbound


def _differences(run: WorkflowHistory, watch: Watch) -> Iterator[str]:
    try:
        recorded = effects_of(run)
    except ValidationError as error:
        yield f"which cannot be read any more: {error}"
        return
    if len(watch.activities) < len(recorded):
        yield f"it asks for {len(watch.activities)} activities, and {len(recorded)} were asked for"
    # The commands of the last task of a run that continues as new may be missing in the history.
    for effect, (name, argument) in zip(recorded, watch.activities, strict=False):
        where = f"event {effect.event_id}, {effect.name}"
        if name != effect.name:
            yield f"{where}: it asks for {name}"
        elif difference := _difference(effect, argument):
            yield f"{where}: {difference}"
    for event in run.events:
        match event.WhichOneof("attributes"):
            case "workflow_execution_update_completed_event_attributes":
                completed = event.workflow_execution_update_completed_event_attributes
                now = watch.outcomes.get(completed.meta.update_id)
                refusal = completed.outcome.failure.application_failure_info.type
                was = refusal or first(completed.outcome.success, _type_of(now))
            case "workflow_execution_continued_as_new_event_attributes":
                continued = event.workflow_execution_continued_as_new_event_attributes
                was, now = first(continued.input, _type_of(watch.end)), watch.end
            case "workflow_execution_completed_event_attributes":
                result = event.workflow_execution_completed_event_attributes.result
                was, now = first(result, _type_of(watch.end)), watch.end
            case "workflow_execution_failed_event_attributes":
                failure = event.workflow_execution_failed_event_attributes.failure
                was = failure.application_failure_info.type
                # No interceptor sees a failure of `@workflow.init`; the replay verifies that it fails again.
                now = watch.end if watch.is_executed else was
            case _:
                continue
        if difference := first_difference(was, now):
            yield f"event {event.event_id}: {difference}"


def _difference(effect: Effect, argument: Any) -> str | None:
    """Compare an activity. The history has the events of a local activity, but no other argument."""
    if not effect.local:
        return first_difference(effect.argument, argument)
    if isinstance(effect.result, Recorded):
        id_ = argument.subscription_id
        recorded = [event_from_document(id_, document) for document in effect.result.events]
        return first_difference({"events": recorded}, {"events": argument.events})
    return None


def _type_of(value: Any) -> type[BaseModel] | None:
    return type(value) if isinstance(value, BaseModel) else None


def first_difference(recorded: Any, today: Any, *, but_for: frozenset[str] = WORDS) -> str | None:
    """Return the first difference of two values, without fields of these names; None if equal."""
    return next(_parting(to_jsonable_python(recorded), to_jsonable_python(today), "", but_for), None)


def _parting(recorded: Any, today: Any, path: str, but_for: frozenset[str]) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(today, dict):
        for name in sorted({*recorded, *today} - but_for):
            yield from _parting(recorded.get(name), today.get(name), f"{path}.{name}".lstrip("."), but_for)
    elif isinstance(recorded, list) and isinstance(today, list) and len(recorded) == len(today):
        for number, (one, other) in enumerate(zip(recorded, today, strict=True)):
            yield from _parting(one, other, f"{path}.{number}".lstrip("."), but_for)
    elif recorded != today:
        yield f"{path or 'it'} was {recorded!r} and is now {today!r}"
