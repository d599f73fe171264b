"""Registry of activities and activity interceptors."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor

from activities.billing import BillingActivities
from activities.bulk import BulkActivities
from activities.catalogue import CatalogueActivities
from activities.domain_verification import DomainVerificationActivities
from activities.erasure import ErasureActivities, HistoryActivities
from activities.interceptors.caller_verification import CallerInterceptor
from activities.interceptors.heartbeat import HeartbeatInterceptor
from activities.invoicing import InvoicingActivities
from activities.ledger_adjustments import LedgerAdjustmentActivities
from activities.metrics import FailureReportingInterceptor
from activities.notifications import NotificationActivities
from activities.provisioning import ProvisioningActivities
from activities.reconciliation.activities import ReconciliationActivities
from activities.retention import RetentionActivities
from activities.transitions import TransitionActivities
from activities.workspace import WorkspaceActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.email.settings import MailServer
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from subscription.message_authentication import MessageSigner
from subscription.reconciliation import ROTATION_NIGHTS


def create_activities(
    client: Client,
    pool: Pool,
    signer: MessageSigner,
    *,
    dns_resolvers: Sequence[str],
    mail_server: MailServer | None,
    console_url: str | None,
    allow_simulation: bool,
    allow_test_clock_invoices: bool = False,
    release: str = "",
    rotation_nights: int = ROTATION_NIGHTS,
) -> list[Callable[..., Any]]:
    """Return every activity of the service, with its dependencies.

    The job `reconcile` queries every workflow once in `rotation_nights`, a larger share in the first night of
    a `release`.
    """
    workspaces = PostgresWorkspaceProvisioner(pool)
    emails = NoticeEmails(console_url)
    provisioning = ProvisioningActivities(pool, workspaces, emails, allow_simulation=allow_simulation)
    transitions = TransitionActivities(pool, workspaces, emails)
    reconciliation = ReconciliationActivities(
        pool,
        client,
        workspaces,
        signer,
        release=release,
        rotation_nights=rotation_nights,
    )
    retention = RetentionActivities(pool, client)
    notifications = NotificationActivities(pool, emails, sends=mail_server is not None)
    bulk = BulkActivities(pool, client)
    return [
        provisioning.provision_subscription,
        provisioning.issue_domain_token,
        transitions.record_transition,
        BillingActivities(transitions.record_transition).post_charges,
        transitions.get_stored_answer,
        CatalogueActivities(pool).get_price_book,
        DomainVerificationActivities(pool, dns_resolvers).check_domain_records,
        WorkspaceActivities(workspaces).count_members_in_use,
        ErasureActivities(pool, workspaces).erase_subscription,
        HistoryActivities(pool, client).delete_histories,
        LedgerAdjustmentActivities(pool).adjust_ledger,
        InvoicingActivities(pool, allow_test_clock=allow_test_clock_invoices).issue_invoices,
        reconciliation.reconcile_record,
        reconciliation.reconcile_running,
        reconciliation.reconcile_closed,
        reconciliation.reconcile_adjustments,
        reconciliation.reconcile_invoices,
        reconciliation.finish_reconciliation,
        retention.purge_histories,
        retention.purge_rows,
        notifications.queue_notices,
        bulk.load_bulk_items,
        bulk.send_bulk_command,
        bulk.record_bulk_state,
    ]


def activity_interceptors(signer: MessageSigner) -> tuple[Interceptor, ...]:
    """Return the activity interceptors; the first one is the outermost."""
    return FailureReportingInterceptor(), CallerInterceptor(signer), HeartbeatInterceptor()
