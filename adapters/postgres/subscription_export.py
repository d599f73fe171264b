"""Everything that the service keeps of one subscription, as row sets of an export (R37).

The role `worksub_exporter` cannot read password hashes, keys or sessions. Domain tokens are in the state, in
events and in emails, so the archive removes them from every text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.export_archive import Row, RowSet
from adapters.postgres.pool import Connection
from adapters.postgres.row_sets import converted, row_set
from adapters.postgres.workspace_exporter import WorkspaceExporter
from subscription.event_documents import event_from_document, line_from_document
from subscription.event_messages import event_message
from subscription.state import State

_SUBSCRIPTION = """
    SELECT subscription_id, customer_id, request_id, state, access, plan, members, term, started_at,
           trial_ends_at, contract_from, contract_to, reservation, reservation_date, next_deadline_at,
           next_deadline, sequence, recorded_at, snapshot AS document
      FROM subscriptions WHERE subscription_id = $1
"""
_ACCOUNT = """
    SELECT admin_id, snapshot -> 'account' ->> 'kind' AS kind, snapshot -> 'account' ->> 'name' AS name
      FROM subscriptions JOIN administrators USING (subscription_id) WHERE subscription_id = $1
"""
# The first event has no name. A rename lists the name that it replaces first among the released names.
_NAMES = """
    SELECT sequence, effective_at, event,
           CASE event
                WHEN 'TRIAL_STARTED' THEN coalesce(
                    (SELECT private -> 'released' ->> 0
                       FROM lifecycle_events AS rename
                            JOIN event_private_data USING (subscription_id, sequence)
                      WHERE subscription_id = $1 AND rename.event = 'ACCOUNT_RENAMED'
                      ORDER BY sequence LIMIT 1),
                    (SELECT snapshot -> 'account' ->> 'name' FROM subscriptions WHERE subscription_id = $1))
                WHEN 'ACCOUNT_RENAMED' THEN private -> 'account' ->> 'name'
                WHEN 'RENAME_HELD' THEN private -> 'pending_domain' ->> 'name'
                WHEN 'DOMAIN_LOST' THEN private ->> 'domain'
                ELSE private -> 'released' ->> 0
            END AS name
      FROM lifecycle_events LEFT JOIN event_private_data USING (subscription_id, sequence)
     WHERE subscription_id = $1
       AND event IN ('TRIAL_STARTED', 'ACCOUNT_RENAMED', 'RENAME_HELD', 'RENAME_WITHDRAWN', 'DOMAIN_LOST')
     ORDER BY sequence
"""
_RESERVED_NAMES = """
    SELECT name, kind, status, reserved_since FROM account_names WHERE subscription_id = $1 ORDER BY name
"""
_COMPANY = """
    SELECT company_name, company_phone, company_address, contact_email
      FROM companies WHERE subscription_id = $1
"""
_TERMS = """
    SELECT term_id, term_version, agreed_at, sequence
      FROM terms_agreements WHERE subscription_id = $1 ORDER BY sequence, term_id
"""
# One row for each event that begins a contract or changes its rate.
_CONTRACTS = """
    SELECT sequence, effective_at, event, contract.term, contract.first_day AS "from",
           contract.end_day AS "to", contract.chain_first_day, contract.periods_before, contract.fee_percent,
           contract.begun_by_renewal, rate.first_day AS rate_from, rate.plan, rate.members, rate.list_price,
           rate.annual_price
      FROM lifecycle_events,
           json_to_record(detail -> 'contract') AS contract
               (term text, first_day date, end_day date, chain_first_day date, periods_before integer,
                fee_percent integer, begun_by_renewal boolean),
           json_to_record(detail -> 'rate') AS rate
               (first_day date, plan text, members integer, list_price bigint, annual_price bigint)
     WHERE subscription_id = $1 AND detail -> 'contract' IS NOT NULL ORDER BY sequence
"""
# As in the timeline, the operators are one issuer without a name.
_TIMELINE = """
    SELECT sequence, effective_at, recorded_at, event, state,
           CASE WHEN channel IN ('CONSOLE', 'API', 'SYSTEM') THEN channel ELSE 'OPERATOR' END AS channel,
           CASE WHEN channel IN ('CONSOLE', 'API') THEN issued_by END AS issued_by,
           detail, private
      FROM lifecycle_events LEFT JOIN event_private_data USING (subscription_id, sequence)
     WHERE subscription_id = $1 ORDER BY sequence
"""
_LEDGER = """
    SELECT key, kind, first_day AS "from", end_day AS "to", amount, effective_at, recorded_at, customer_id,
           sequence, position, line
      FROM ledger WHERE subscription_id = $1 ORDER BY sequence, position
"""
_ADJUSTMENTS = """
    SELECT adjustment_id, line_key(subscription_id, line_kind, line_first_day) AS line_key, amount, reason,
           reference, effective_at, recorded_at, customer_id
      FROM ledger_adjustments WHERE subscription_id = $1 ORDER BY effective_at, adjustment_id
"""
# An invoice covers all subscriptions of a customer. The archive of one has its own entries and their sum
# only, because its administrator must not learn what the others cost.
_INVOICES = """
    SELECT number, document ->> 'kind' AS kind, month, issued_on, customer_id,
           document -> 'supplier' AS supplier, (document -> 'vat_percent')::integer AS vat_percent,
           (SELECT sum((entry -> 'amount')::bigint)::bigint
              FROM jsonb_array_elements(billed -> 'entries') AS entry) AS supply_amount,
           billed -> 'entries' AS entries, recorded_at
      FROM invoices, jsonb_array_elements(document -> 'subscriptions') AS billed
     WHERE customer_id = (SELECT customer_id FROM subscriptions WHERE subscription_id = $1)
       AND billed ->> 'subscription_id' = $1
     ORDER BY number
"""
_NOTICES = """
    SELECT number, customer_id, kind, event_date, threshold_days, sequence, addressee, due_on, state,
           attempts, last_error, queued_at, completed_at, recipient, subject, body
      FROM notices LEFT JOIN notice_emails USING (number, subscription_id)
     WHERE subscription_id = $1 ORDER BY number
"""

_QUERIES: Mapping[str, str] = {
    "subscription": _SUBSCRIPTION,
    "account": _ACCOUNT,
    "account_names": _NAMES,
    "reserved_names": _RESERVED_NAMES,
    "company": _COMPANY,
    "agreed_terms": _TERMS,
    "contracts": _CONTRACTS,
    "timeline": _TIMELINE,
    "ledger": _LEDGER,
    "adjustments": _ADJUSTMENTS,
    "invoices": _INVOICES,
    "notices": _NOTICES,
}
"""The files of the service in an archive, in their order."""

_TIMELINE_COLUMNS = (
    *("sequence", "effective_at", "recorded_at", "event", "state", "message", "channel", "issued_by"),
    "detail",
)
_LEDGER_COLUMNS = (
    *("key", "kind", "from", "to", "plan", "members", "amount", "percent", "effective_at", "recorded_at"),
    *("customer_id", "sequence", "position", "pieces"),
)


@dataclass(frozen=True)
class ExportSubject:
    """The subscription of an export: its owner and state, and the database's time."""

    customer_id: str
    state: State
    now: datetime


async def export_subject(
    connection: Connection, subscription_id: str, customer_id: str | None
) -> ExportSubject | None:
    """Return the subscription; None if there is none, or if another customer than `customer_id` owns it."""
    row = await connection.fetchrow(
        """
        SELECT customer_id, state, clock_timestamp() AS now FROM subscriptions
         WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2)
        """,
        subscription_id,
        customer_id,
    )
    return ExportSubject(row["customer_id"], State(row["state"]), row["now"]) if row else None


async def export_row_sets(
    connection: Connection, subscription_id: str, product: WorkspaceExporter
) -> list[RowSet]:
    """Return the rows of the service, then those of the product."""

    def timeline_row(row: Row) -> Row:
        event = event_from_document(subscription_id, row["detail"] | (row["private"] or {}))
        return {**row, "message": event_message(event), "detail": event.model_dump(mode="json")}

    def ledger_row(row: Row) -> Row:
        line = line_from_document(subscription_id, row["effective_at"], row["line"])
        return {**line.model_dump(mode="json"), **row}

    own = {name: await row_set(connection, name, query, subscription_id) for name, query in _QUERIES.items()}
    own["timeline"] = converted(own["timeline"], _TIMELINE_COLUMNS, timeline_row)
    own["ledger"] = converted(own["ledger"], _LEDGER_COLUMNS, ledger_row)
    handed_over = await product.row_sets(connection, subscription_id)
    return [
        *own.values(),
        *(RowSet(f"product/{rows.name}", rows.columns, rows.batches) for rows in handed_over),
    ]


async def domain_tokens(connection: Connection, subscription_id: str) -> Sequence[str]:
    """Return the secrets that the archive must not contain."""
    rows = await connection.fetch(
        "SELECT token FROM domain_tokens WHERE subscription_id = $1", subscription_id
    )
    return [row["token"] for row in rows]


async def record_export(connection: Connection, subscription_id: str) -> None:
    """Record that an archive is complete; the database sets the time."""
    await connection.execute("INSERT INTO exports (subscription_id) VALUES ($1)", subscription_id)
