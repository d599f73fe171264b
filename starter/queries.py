"""Queries answered by PostgreSQL alone; they work while Temporal is down and do not import temporalio."""

from starter.catalogue_queries import CatalogueQueries
from starter.invoice_queries import InvoiceQueries
from starter.journal_queries import JournalQueries
from starter.notice_queries import NoticeQueries
from starter.reconciliation_queries import ReconciliationQueries
from starter.record_queries import RecordQueries
from starter.selection_queries import SelectionQueries


class SubscriptionQueries(
    CatalogueQueries,
    RecordQueries,
    InvoiceQueries,
    JournalQueries,
    NoticeQueries,
    ReconciliationQueries,
    SelectionQueries,
):
    """The queries of all topics, for one customer or for operators."""
