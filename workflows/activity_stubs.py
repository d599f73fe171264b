"""Typed stubs of every activity, which workflows call.

The package `activities` implements them. A test compares the names and signatures.
No stub is registered with a worker, so no body runs: a stub only gives a call its name and its types.
"""

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from subscription.activity_contracts import (
        DeleteHistoriesInput,
        DeleteHistoriesResult,
        DomainCheckInput,
        DomainCheckResult,
        DomainTokenInput,
        DomainTokenResult,
        EraseInput,
        MembersInUseInput,
        MembersInUseResult,
        PriceBookInput,
        PriceBookResult,
        ProvisionInput,
        ProvisionResult,
        RecordResult,
        StoredAnswerInput,
        StoredAnswerResult,
        Transition,
    )
    from subscription.adjustment import AdjustmentInput, AdjustmentResult
    from subscription.bulk import (
        BulkCommandSent,
        BulkItems,
        BulkProgress,
        LoadBulkItems,
        RecordBulkState,
        SendBulkCommand,
    )
    from subscription.erasure_certificate import ErasureCertificate
    from subscription.invoice import InvoicesIssued, IssueInvoices
    from subscription.notice_outbox import (
        QueueNoticesInput,
        QueueNoticesResult,
    )
    from subscription.reconciliation import (
        FinishReconciliation,
        ReconcilePage,
        ReconcilePageResult,
        ReconcileReport,
    )
    from subscription.retention import (
        PurgeHistoriesInput,
        PurgeHistoriesResult,
        PurgeRowsInput,
        PurgeRowsResult,
    )


@activity.defn
async def provision_subscription(input: ProvisionInput) -> ProvisionResult:
    """Reserve the name, create the subscription and its workspace, and record the start of the trial (R9)."""
    raise NotImplementedError


@activity.defn
async def record_transition(input: Transition) -> RecordResult:
    """Record a state transition."""
    raise NotImplementedError


@activity.defn
async def post_charges(input: Transition) -> RecordResult:
    """Record a state transition that only posts service fees (R21)."""
    raise NotImplementedError


@activity.defn
async def get_price_book(input: PriceBookInput) -> PriceBookResult:
    """Return the catalogue versions that a subscription needs, if there are newer ones than it has (R19)."""
    raise NotImplementedError


@activity.defn
async def get_stored_answer(input: StoredAnswerInput) -> StoredAnswerResult:
    """Return the stored answer of the command with an ID (R22)."""
    raise NotImplementedError


@activity.defn
async def issue_domain_token(input: DomainTokenInput) -> DomainTokenResult:
    """Return the verification token of a domain (R12)."""
    raise NotImplementedError


@activity.defn
async def check_domain_records(input: DomainCheckInput) -> DomainCheckResult:
    """Look up the verification records of domains (R12)."""
    raise NotImplementedError


@activity.defn
async def count_members_in_use(input: MembersInUseInput) -> MembersInUseResult:
    """Return how many members the product has in use (R36)."""
    raise NotImplementedError


@activity.defn
async def erase_subscription(input: EraseInput) -> ErasureCertificate:
    """Delete the data of a subscription, and certify it (R31)."""
    raise NotImplementedError


@activity.defn
async def delete_histories(input: DeleteHistoriesInput) -> DeleteHistoriesResult:
    """Delete the earlier runs of the calling workflow (R31)."""
    raise NotImplementedError


@activity.defn
async def adjust_ledger(input: AdjustmentInput) -> AdjustmentResult:
    """Add a compensating line to a ledger, or return the refusal."""
    raise NotImplementedError


@activity.defn
async def issue_invoices(input: IssueInvoices) -> InvoicesIssued:
    """Issue the invoices of a page of customers."""
    raise NotImplementedError


@activity.defn
async def reconcile_record(input: ReconcilePage) -> ReconcilePageResult:
    """Check a page of subscriptions in the database."""
    raise NotImplementedError


@activity.defn
async def reconcile_running(input: ReconcilePage) -> ReconcilePageResult:
    """Check a page of running workflows."""
    raise NotImplementedError


@activity.defn
async def reconcile_closed(input: ReconcilePage) -> ReconcilePageResult:
    """Check a page of closed runs for orphaned histories."""
    raise NotImplementedError


@activity.defn
async def reconcile_adjustments(input: ReconcilePage) -> ReconcilePageResult:
    """Check a page of completed adjustments."""
    raise NotImplementedError


@activity.defn
async def reconcile_invoices(input: ReconcilePage) -> ReconcilePageResult:
    """Check a page of invoices."""
    raise NotImplementedError


@activity.defn
async def finish_reconciliation(input: FinishReconciliation) -> ReconcileReport:
    """Store the report of a reconciliation, and return it."""
    raise NotImplementedError


@activity.defn
async def purge_histories(input: PurgeHistoriesInput) -> PurgeHistoriesResult:
    """Delete a page of orphaned histories (R31)."""
    raise NotImplementedError


@activity.defn
async def purge_rows(input: PurgeRowsInput) -> PurgeRowsResult:
    """Delete rows past their retention period."""
    raise NotImplementedError


@activity.defn
async def queue_notices(input: QueueNoticesInput) -> QueueNoticesResult:
    """Queue the due notices of a page of subscriptions."""
    raise NotImplementedError


@activity.defn
async def load_bulk_items(input: LoadBulkItems) -> BulkItems:
    """Load the next subscriptions of a bulk run that have no outcome yet."""
    raise NotImplementedError


@activity.defn
async def send_bulk_command(input: SendBulkCommand) -> BulkCommandSent:
    """Send the command of a bulk run to one subscription, and store the outcome (R22)."""
    raise NotImplementedError


@activity.defn
async def record_bulk_state(input: RecordBulkState) -> BulkProgress:
    """Store the state of a bulk run, and return its progress."""
    raise NotImplementedError
