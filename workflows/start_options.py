"""Start options that a subscription workflow refuses."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from subscription.refusals import Refusal, RefusalCode


def start_refusal() -> Refusal | None:
    """Return the refusal of start options that would repeat or end the workflow; None if there are none."""
    info = workflow.info()
    if info.cron_schedule:
        return Refusal.of(RefusalCode.INVALID_START, reason="CRON_SCHEDULE")
    if info.retry_policy:
        return Refusal.of(RefusalCode.INVALID_START, reason="RETRY_POLICY")
    if info.execution_timeout or info.run_timeout:
        return Refusal.of(RefusalCode.INVALID_START, reason="TIMEOUT")
    return None
