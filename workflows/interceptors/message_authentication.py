"""Workflow interceptor that authenticates scheduled activities and the input of the next run.

A client of the Temporal namespace can start a workflow with any argument, and can schedule any activity.
It cannot compute a seal (a message authentication code), so the service accepts only sealed activities and
inputs. Local activities need no seal, because the same worker runs them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.worker import (
    ContinueAsNewInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

with workflow.unsafe.imports_passed_through():
    from subscription.message_authentication import SEAL_HEADER, Seals

_SEALS = "worksub_seals"


def is_continued(start: Any) -> bool:
    """Return whether an earlier run of the service has started this run with this argument.

    A replayer without keys, such as that of `worksub replay`, trusts histories: a worker has verified them.
    """
    info = workflow.info()
    if not info.continued_run_id:
        return False
    seals = _seals()
    if seals is None:
        return True
    seal = info.headers.get(SEAL_HEADER)
    if seal is None or not isinstance(start, RawValue):
        return False
    text = seal.data.decode(errors="replace")
    return seals.is_of_run(text, info.workflow_id, info.continued_run_id, [start.payload.data])


class _SealingOutbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        if seals := _seals():
            seal = seals.of_call(workflow.info().workflow_id, input.activity, _data(input.args))
            input.headers = _sealed(input.headers, seal)
        return super().start_activity(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        if seals := _seals():
            info = workflow.info()
            seal = seals.of_run(info.workflow_id, info.run_id, _data(input.args))
            input.headers = _sealed(input.headers, seal)
        super().continue_as_new(input)


class _SealingInbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_SealingOutbound(outbound))


class SealingInterceptor(Interceptor):
    """Seal scheduled activities and continue-as-new inputs with the worker's keys."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_SealingInbound]:
        input.unsafe_extern_functions[_SEALS] = lambda: self._seals
        return _SealingInbound


def _seals() -> Seals | None:
    """Return the seals of the worker; None in a replayer, which has no keys."""
    get_seals: Callable[[], Seals] | None = workflow.extern_functions().get(_SEALS)
    return get_seals() if get_seals else None


def _data(args: Any) -> list[bytes]:
    return [payload.data for payload in workflow.payload_converter().to_payloads(args)]


def _sealed(headers: Mapping[str, Payload], seal: str) -> Mapping[str, Payload]:
    return {**headers, SEAL_HEADER: Payload(metadata={"encoding": b"binary/plain"}, data=seal.encode())}
