"""Workflow that applies one ledger adjustment."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.adjustment import Adjustment, AdjustmentInput, AdjustmentRefused, AdjustmentRequest


@workflow.defn(name="AdjustmentWorkflow")
class AdjustmentWorkflow:
    """Adds a compensating line to a ledger, once; a refusal fails it with the refusal's code."""

    @workflow.run
    async def run(self, argument: Any = None) -> Adjustment:
        wanted = read_argument(AdjustmentRequest, argument)
        as_of = AdjustmentInput(wanted=wanted, effective_at=workflow.now())
        result = await execute_page("adjust_ledger", as_of, summary=f"{wanted.amount:,} KRW")
        if isinstance(result, AdjustmentRefused):
            refused = result.refused
            raise ApplicationError(refused.message, refused, type=refused.code, non_retryable=True)
        adjustment: Adjustment = result.adjustment
        return adjustment
