"""Activity interceptor that refuses calls which no workflow of the service has scheduled.

Temporal lets any client of the namespace schedule an activity on the service's task queue: from a workflow
with any type and ID, or as a standalone activity without a workflow.
"""

from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from subscription.activity_contracts import CALLERS, Provisioned, Recorded
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.message_authentication import SIGNATURE_HEADER, MessageSigner

NOT_THE_SERVICE = "NOT_CALLED_BY_THE_SERVICE"
"""Error type of a refused call."""


class _CallerVerificationInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, signer: MessageSigner) -> None:
        super().__init__(next)
        self._signer = signer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        _check_caller(info, input.args)
        if not info.is_local:
            self._check_signature(info, input)
            return await super().execute_activity(input)
        result = await super().execute_activity(input)
        if isinstance(result, Recorded | Provisioned):
            data = result.model_dump_json().encode()
            signature = self._signer.of_result(info.workflow_id or "", info.activity_type, data)
            return result.model_copy(update={"signature": signature})
        return result

    def _check_signature(self, info: activity.Info, input: ExecuteActivityInput) -> None:
        signature = input.headers.get(SIGNATURE_HEADER, Payload()).data.decode(errors="replace")
        argument = [payload.data for payload in activity.payload_converter().to_payloads(input.args)]
        if not self._signer.is_of_call(signature, info.workflow_id or "", info.activity_type, argument):
            raise _refused("the signature of a worker over its argument is missing or invalid")


def _check_caller(info: activity.Info, args: Any) -> None:
    callers = CALLERS[info.activity_type]
    if not info.workflow_id or info.workflow_type not in callers:
        raise _refused(f"only {' and '.join(callers)} call {info.activity_type}")
    if info.workflow_type != "SubscriptionWorkflow":
        return
    subscription_id = info.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    if any(getattr(arg, "subscription_id", subscription_id) != subscription_id for arg in args):
        raise _refused("its workflow belongs to another subscription")


def _refused(reason: str) -> ApplicationError:
    return ApplicationError(f"The call is refused: {reason}.", type=NOT_THE_SERVICE, non_retryable=True)


class CallerInterceptor(Interceptor):
    """Refuse activities that no workflow run by a worker of this service has scheduled."""

    def __init__(self, signer: MessageSigner) -> None:
        self._signer = signer

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _CallerVerificationInbound(next, self._signer)
