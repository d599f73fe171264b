"""Workflow that applies one ledger adjustment."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.adjustment import Adjustment, AdjustmentInput, AdjustmentRefused, AdjustmentRequest


@workflow.defn(name="AdjustmentWorkflow")
class AdjustmentWorkflow:
    """Add a compensating line to a ledger once. A refusal fails the workflow with the refusal code."""

    @workflow.run
    async def run(self, argument: Any = None) -> Adjustment:
        request = read_argument(AdjustmentRequest, argument)
        as_of = AdjustmentInput(wanted=request, effective_at=workflow.now())
        result = await execute_page(activity_stubs.adjust_ledger, as_of, summary=f"{request.amount:,} KRW")
        if isinstance(result, AdjustmentRefused):
            refusal = result.refused
            raise ApplicationError(refusal.message, refusal, type=refusal.code, non_retryable=True)
        return result.adjustment
