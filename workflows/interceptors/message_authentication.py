"""Workflow interceptor that authenticates scheduled activities and the input of the next run.

A client of the Temporal namespace can start a workflow with any argument, and can schedule any activity.
It cannot compute a signature (a message authentication code), so the service accepts only signed
activities and inputs. Local activities need no signature, because the same worker runs them.
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
    from subscription.message_authentication import SIGNATURE_HEADER, MessageSigner

_SIGNER = "worksub_signer"


def is_continued(start: Any) -> bool:
    """Return whether an earlier run of the service has started this run with this argument.

    A replayer without keys, such as that of `worksub replay`, trusts histories: a worker has verified them.
    """
    info = workflow.info()
    if not info.continued_run_id:
        return False
    signer = _signer()
    if signer is None:
        return True
    signature = info.headers.get(SIGNATURE_HEADER)
    if signature is None or not isinstance(start, RawValue):
        return False
    text = signature.data.decode(errors="replace")
    return signer.is_of_run(text, info.workflow_id, info.continued_run_id, [start.payload.data])


class _SigningOutbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        if signer := _signer():
            signature = signer.of_call(workflow.info().workflow_id, input.activity, _data(input.args))
            input.headers = _signed(input.headers, signature)
        return super().start_activity(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        if signer := _signer():
            info = workflow.info()
            signature = signer.of_run(info.workflow_id, info.run_id, _data(input.args))
            input.headers = _signed(input.headers, signature)
        super().continue_as_new(input)


class _SigningInbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_SigningOutbound(outbound))


class SigningInterceptor(Interceptor):
    """Signature scheduled activities and continue-as-new inputs with the worker's keys."""

    def __init__(self, signer: MessageSigner) -> None:
        self._signer = signer

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[_SigningInbound]:
        input.unsafe_extern_functions[_SIGNER] = lambda: self._signer
        return _SigningInbound


def _signer() -> MessageSigner | None:
    """Return the signer of the worker; None in a replayer, which has no keys."""
    get_signer: Callable[[], MessageSigner] | None = workflow.extern_functions().get(_SIGNER)
    return get_signer() if get_signer else None


def _data(args: Any) -> list[bytes]:
    return [payload.data for payload in workflow.payload_converter().to_payloads(args)]


def _signed(headers: Mapping[str, Payload], signature: str) -> Mapping[str, Payload]:
    return {
        **headers,
        SIGNATURE_HEADER: Payload(metadata={"encoding": b"binary/plain"}, data=signature.encode()),
    }
