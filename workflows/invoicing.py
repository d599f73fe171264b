"""Workflow that issues the invoices of a month, page by page."""

from datetime import date
from typing import Annotated, Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument, scheduled_day

with workflow.unsafe.imports_passed_through():
    from pydantic import Field

    from subscription.batch import MemberFailure, failures_message, first_failures
    from subscription.business_calendar import Day, add_months, first_of_month
    from subscription.invoice import InvoicesReport, IssueInvoices
    from subscription.messages import PLAIN
    from subscription.model import Wire
    from subscription.refusals import RefusalCode

_MONTH = r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])$"


class InvoicesInput(Wire):
    """Month to invoice, such as `2027-03`; the default is the month before the day of the run.

    `customer_id` restricts the run to one customer. `as_of` is the day of the run by a test clock, which only
    the worker of the local stack accepts; the default is the scheduled day.
    """

    month: Annotated[str | None, Field(pattern=_MONTH)] = None
    customer_id: str | None = None
    as_of: Day | None = None


@workflow.defn(name="InvoicesWorkflow")
class InvoicesWorkflow:
    """Issue the outstanding invoices of a month. Repeating it changes nothing."""

    @workflow.run
    async def run(self, argument: Any = None) -> InvoicesReport:
        input = read_argument(InvoicesInput, argument)
        today = input.as_of or scheduled_day()
        month = _first_day(input.month) if input.month else add_months(first_of_month(today), -1)
        if month >= first_of_month(today):
            raise ApplicationError(
                f"{month:%Y-%m} has not ended yet.", type=RefusalCode.MONTH_NOT_ENDED, non_retryable=True
            )
        return await self._close(month, today, input)

    async def _close(self, month: date, today: date, input: InvoicesInput) -> InvoicesReport:
        issued, total, failed, cursor = 0, 0, 0, ""
        failures: tuple[MemberFailure, ...] = ()
        while True:
            page = await execute_page(
                activity_stubs.issue_invoices,
                IssueInvoices(
                    month=month,
                    issued_on=today,
                    after=cursor,
                    customer_id=input.customer_id,
                    by_test_clock=input.as_of is not None,
                ),
                summary=f"invoices of {month:%Y-%m}{f' after {cursor}' if cursor else ''}",
            )
            issued, total = issued + page.issued, total + page.total
            failed, failures = failed + len(page.failed), first_failures((*failures, *page.failed))
            if page.next_after is None:
                break
            cursor = page.next_after
            workflow.set_current_details(f"{issued:,} invoices issued, up to customer {cursor}.")
        summary = f"{issued:,} invoices for {month:%Y-%m}, {PLAIN.krw(total)} in total with VAT."
        summary += failures_message(failed, failures)
        workflow.set_current_details(summary)
        return InvoicesReport(
            summary=summary, month=month, issued=issued, total=total, failed=failed, failures=failures
        )


def _first_day(month: str) -> date:
    return date.fromisoformat(f"{month}-01")
