"""Queries answered by PostgreSQL alone; they work while Temporal is down and do not import temporalio."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import asyncpg
from pydantic_core import PydanticCustomError

from adapters.postgres.catalogue_repository import (
    PLAN_FUNCTIONS_COLUMN,
    PRICE_BOOK_COLUMN,
    load_price_book,
    load_texts,
    plan_functions_from_row,
    price_book_from_row,
)
from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import ReadOnlyPool
from adapters.postgres.subscription_repository import (
    TIMELINE_COLUMNS,
    certificate_from_row,
    count_trials,
    snapshot,
)
from adapters.postgres.workspace_provisioner import MEMBERS_IN_USE_COLUMN
from starter.filter_values import check_selection, selects_by_plan
from starter.filters import Filters, customer_is, state_is, to_sql
from starter.invoices import SUMMARY_COLUMNS as INVOICE_COLUMNS
from starter.invoices import InvoicePage, InvoiceSummary, all_invoices, list_latest
from starter.products import ProductPage, list_erased, list_products
from starter.subscription_summary import SUMMARY_COLUMNS, SubscriptionSummary
from subscription.account_names import account_name
from subscription.activity_contracts import CustomerEvent
from subscription.adjustment import Adjustment, adjustment_key
from subscription.attention import Attention, ShownAttention
from subscription.business_calendar import KST, day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.entitlements import Entitlements, entitlements_of
from subscription.events import EVENT_ADAPTER, Event
from subscription.explain import Explanation, explain
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Account, too_many_trials_refusal
from subscription.state import State, Subscription
from subscription.status import Status, status_of
from subscription.timeline import ErasureCertificate, RecordedEntry

_MIN_PREFIX_LENGTH = 4
"""A shorter prefix of an ID would match many subscriptions."""


_COMMANDABLE = [state.value for state in State if state.accepts_commands]


class OperatorsOnlyError(Exception):
    """Authorization failed: a customer called an operation for operators only."""


def no_such_subscription() -> RefusalError:
    return refusal(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id")


class NameStatus(StrEnum):
    """TAKEN: a subscription holds the name. CLAIMED: available, but other subscriptions claim the domain too.

    The first claimant that verifies the domain holds it.
    """

    AVAILABLE = "AVAILABLE"
    CLAIMED = "CLAIMED"
    TAKEN = "TAKEN"


class NameAvailability(Frozen):
    """Availability of an account name at present. Only a request takes or claims the name (R5).

    `available` is true for AVAILABLE and CLAIMED.
    """

    name: str
    kind: str
    available: bool
    status: NameStatus


class RecordedState(NamedTuple):
    """The last recorded state, with what decisions and confirmations need.

    `members_in_use` includes the administrator (R36). `last_export_at` is the time of the last complete
    export (R37).
    """

    state: Subscription
    book: PriceBook
    members_in_use: int
    last_export_at: datetime | None


class SubscriptionQueries:
    """Queries about the subscriptions of one customer, or of all customers if `customer_id` is None.

    Each read is one statement, which contains the customer ID. Another customer's data is therefore
    indistinguishable from missing data: the error is the same.

    Every method raises `RefusalError` if the rules refuse the call, `OperatorsOnlyError` if it needs
    unrestricted access, and `OSError` if the database is unreachable.
    """

    def __init__(self, pool: Pool, customer_id: str | None = None) -> None:
        self._pool = ReadOnlyPool(pool)
        self._customer_id = customer_id

    # -- catalogue and names -------------------------------------------------------------------------

    async def price_book(self) -> PriceBook:
        """Return the price book with all published catalogue versions."""
        return await load_price_book(self._pool)

    async def catalogue(self) -> Catalogue | None:
        """Return the catalogue on sale today, by the real clock, with its texts (R2, R3, R19).

        Return None if no version is in force yet.
        """
        catalogue = (await self.price_book()).in_force(day_of(datetime.now(KST)))
        return catalogue and await self.with_texts(catalogue)

    async def with_texts(self, catalogue: Catalogue) -> Catalogue:
        """Return a published version with its texts, which the price book does not have."""
        texts = await load_texts(self._pool, catalogue.version)
        return catalogue.with_texts(texts) if texts else catalogue

    async def trial_refusal(self, catalogue: Catalogue) -> Refusal | None:
        """Return the refusal of a further trial of the customer (R2); None if there is room for one."""
        if catalogue.trial.per_customer is None:
            return None
        trials = await count_trials(self._pool, self._own_customer())
        return too_many_trials_refusal(catalogue, trials)

    async def check_name(self, account: Account) -> NameAvailability:
        status = NameStatus(
            await self._pool.fetchval(
                """
                SELECT CASE WHEN bool_or(status = 'HELD') THEN 'TAKEN'
                            WHEN bool_or(status = 'CLAIMED') THEN 'CLAIMED' ELSE 'AVAILABLE' END
                  FROM account_names WHERE name = $1
                """,
                account.name,
            )
        )
        available = status is not NameStatus.TAKEN
        return NameAvailability(name=account.name, kind=account.kind, available=available, status=status)

    # -- one subscription ----------------------------------------------------------------------------

    async def check_exists(self, subscription_id: str) -> None:
        """Raise `RefusalError` if there is no such subscription."""
        if not await self._exists(subscription_id):
            raise no_such_subscription()

    async def find_snapshot(self, subscription_id: str) -> Subscription | None:
        """Return the last recorded state, or None."""
        return await snapshot(self._pool, subscription_id, self._customer_id)

    async def snapshot(self, subscription_id: str) -> Subscription:
        """Return the last recorded state."""
        state = await self.find_snapshot(subscription_id)
        if state is None:
            raise no_such_subscription()
        return state

    async def recorded_state(self, subscription_id: str) -> RecordedState:
        """Return the last recorded state, in one statement with what decisions and confirmations need."""
        [row] = await self._rows_of(
            subscription_id,
            f"""
            snapshot, {PRICE_BOOK_COLUMN}, {MEMBERS_IN_USE_COLUMN},
            (SELECT max(taken_at) FROM exports WHERE exports.subscription_id = $1) AS last_export_at
            """,  # noqa: S608 - a constant
        )
        last_export_at = row["last_export_at"]
        return RecordedState(
            Subscription.model_validate_json(row["snapshot"]),
            price_book_from_row(row),
            row["members_in_use"],
            last_export_at and last_export_at.astimezone(KST),
        )

    async def recorded_states(self, ids: Sequence[str], book: PriceBook) -> dict[str, RecordedState]:
        """Return the last recorded states of these subscriptions, without unknown IDs. For operators."""
        self._check_operator()
        rows = await self._pool.fetch(
            f"""
            SELECT subscription_id, snapshot, {MEMBERS_IN_USE_COLUMN} FROM subscriptions AS subscription
             WHERE subscription_id = ANY($1)
            """,  # noqa: S608 - a constant
            list(ids),
        )
        return {
            row["subscription_id"]: RecordedState(
                Subscription.model_validate_json(row["snapshot"]), book, row["members_in_use"], None
            )
            for row in rows
        }

    async def status(self, subscription_id: str) -> Status:
        state, book, *_ = await self.recorded_state(subscription_id)
        return status_of(state, book.domain_policy)

    async def entitlements(self, subscription_id: str) -> Entitlements:
        """Return what the product grants to the subscription, from its last recorded state (R36)."""
        [row] = await self._rows_of(
            subscription_id,
            f"snapshot, {PRICE_BOOK_COLUMN}, {PLAN_FUNCTIONS_COLUMN}, {MEMBERS_IN_USE_COLUMN}",
        )
        return entitlements_of(
            Subscription.model_validate_json(row["snapshot"]),
            price_book_from_row(row),
            plan_functions_from_row(row),
            row["members_in_use"],
            day_of(datetime.now(KST)),
        )

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[RecordedEntry]:
        """Return the timeline entries after the event with the number `after`, in order.

        Customers see the operators as one issuer without a name.
        """
        rows = await self._rows_of(
            subscription_id,
            "entry.*",
            f"""
            LEFT JOIN LATERAL (
                SELECT {TIMELINE_COLUMNS}, channel, issued_by AS by
                  FROM lifecycle_events LEFT JOIN event_private_data USING (subscription_id, sequence)
                 WHERE subscription_id = $1 AND sequence > $3 ORDER BY sequence LIMIT $4) AS entry ON true
            """,  # noqa: S608 - a constant
            after,
            limit,
            order="entry.sequence",
        )
        entries = [RecordedEntry.model_validate(dict(row)) for row in rows]
        if self._customer_id is None:
            return entries
        return [entry.shown_to_customer() for entry in entries]

    async def history(self, subscription_id: str) -> list[Event]:
        """Return the events without personal data; `timeline` returns the same events as text."""
        rows = await self._rows_of(
            subscription_id,
            "detail",
            "LEFT JOIN lifecycle_events AS event USING (subscription_id)",
            order="event.sequence",
        )
        return [EVENT_ADAPTER.validate_json(row["detail"]) for row in rows]

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        rows = await self._rows_of(
            subscription_id,
            "line",
            "LEFT JOIN ledger AS charge USING (subscription_id)",
            order="charge.sequence, position",
        )
        return [LedgerLine.model_validate_json(row["line"]) for row in rows]

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        """Explain the calculation of every ledger line, or of the line with this key."""
        lines = [line for line in await self.ledger(subscription_id) if key in (None, line.key)]
        if key is not None and not lines:
            raise refusal(RefusalCode.LINE_NOT_FOUND, "key")
        return [explain(line) for line in lines]

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        """Return the compensating ledger lines, in the order of their creation."""
        rows = await self._rows_of(
            subscription_id,
            "adjustment_id, line_key, amount, reason, reference, effective_at",
            "LEFT JOIN ledger_adjustments USING (subscription_id)",
            order="effective_at, adjustment_id",
        )
        return [
            Adjustment(
                key=adjustment_key(subscription_id, row["adjustment_id"]),
                corrects=row["line_key"],
                amount=row["amount"],
                reason=row["reason"],
                reference=row["reference"],
                effective_at=row["effective_at"],
            )
            for row in rows
        ]

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        """Return the erasure certificates: of the database, then of the workflow histories (R31)."""
        rows = await self._rows_of(
            subscription_id,
            "erased_at, rows",
            "LEFT JOIN erasure_certificates USING (subscription_id)",
            order="part",
        )
        return [certificate_from_row(subscription_id, row) for row in rows]

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention, or None. Workers copy the reason from Temporal."""
        self._check_operator()
        row = await self._pool.fetchrow(
            "SELECT kind, reason, since FROM attention WHERE subscription_id = $1", subscription_id
        )
        return ShownAttention.of(Attention.model_validate(dict(row))) if row else None

    # -- idempotency ---------------------------------------------------------------------------------

    async def snapshot_and_acceptance(
        self, subscription_id: str, command_id: str
    ) -> tuple[Subscription, datetime | None]:
        """Return the last recorded state, and when a command was last accepted under this ID.

        The time is that of the subscription's clock; None if there is no such command.
        """
        [row] = await self._rows_of(
            subscription_id,
            """
            snapshot,
            (SELECT max(effective_at)
               FROM command_answers JOIN lifecycle_events USING (subscription_id, sequence)
              WHERE subscription_id = $1 AND command_id = $3) AS accepted_at
            """,
            "",
            command_id,
        )
        return Subscription.model_validate_json(row["snapshot"]), row["accepted_at"]

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        self._check_operator()
        adjusted: bool | None = await self._pool.fetchval(
            "SELECT true FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2",
            subscription_id,
            adjustment_id,
        )
        return bool(adjusted)

    # -- events, invoices and notices ----------------------------------------------------------------

    async def customer_events(
        self,
        customer_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 50,
        event: str | None = None,
        subscription_id: str | None = None,
    ) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer, in the order of recording.

        Operators must name the customer.
        """
        owner = self._customer_id or customer_id
        if owner is None:
            raise refusal(RefusalCode.MISSING_FIELD, "customer_id", reason="CUSTOMER")
        rows = await self._pool.fetch(
            """
            SELECT number, subscription_id, sequence, effective_at AS at, event, state, message
              FROM customer_events JOIN lifecycle_events USING (subscription_id, sequence)
             WHERE customer_id = $1 AND ($6::text IS NULL OR customer_id = $6)
               AND number > $2 AND ($4::text IS NULL OR event = $4)
               AND ($5::text IS NULL OR subscription_id = $5)
             ORDER BY number LIMIT $3
            """,
            owner,
            after,
            limit,
            event,
            subscription_id,
            customer_id,
        )
        await self._check_filter(subscription_id, rows)
        return [CustomerEvent.model_validate(dict(row)) for row in rows]

    async def invoice(self, number: str) -> Invoice:
        document = await self._pool.fetchval(
            """
            SELECT document FROM invoices
             WHERE number = $1 AND ($2::text IS NULL OR customer_id = $2)
            """,
            number,
            self._customer_id,
        )
        if document is None:
            raise refusal(RefusalCode.INVOICE_NOT_FOUND, "number")
        return Invoice.model_validate_json(document)

    async def invoices(
        self,
        *,
        customer_id: str | None = None,
        month: date | None = None,
        kind: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Invoice]:
        """Return invoices in the order of their numbers; `month` is the first day of a month."""
        rows = await self._pool.fetch(
            """
            SELECT document FROM invoices
             WHERE ($1::text IS NULL OR customer_id = $1) AND ($6::text IS NULL OR customer_id = $6)
               AND ($2::date IS NULL OR month = $2) AND ($5::text IS NULL OR document ->> 'kind' = $5)
               AND number > $3
             ORDER BY number LIMIT $4
            """,
            self._customer_id,
            month,
            after,
            limit,
            kind,
            customer_id,
        )
        return [Invoice.model_validate_json(row["document"]) for row in rows]

    async def latest_invoices(
        self, *, customer_id: str | None = None, before: str = "", limit: int = 50
    ) -> InvoicePage:
        """Return the invoices with numbers below `before` (empty: all), the latest number first."""
        return await list_latest(
            self._pool, scope=self._customer_id, customer_id=customer_id, before=before, limit=limit
        )

    def all_invoices(self, *, customer_id: str | None = None) -> AsyncIterator[Sequence[InvoiceSummary]]:
        """Yield all invoices in batches, the latest number first."""
        return all_invoices(self._pool, scope=self._customer_id, customer_id=customer_id)

    async def invoices_by_entry(self, subscription_id: str) -> Mapping[str, InvoiceSummary]:
        """Return the invoice of each invoiced ledger line and adjustment of a subscription, by its key."""
        rows = await self._rows_of(
            subscription_id,
            f"entry_key, {INVOICE_COLUMNS}",
            """
            LEFT JOIN (
                SELECT subscription_id, key FROM ledger_lines
                UNION ALL
                SELECT subscription_id, subscription_id || '/ADJUSTMENT/' || adjustment_id
                  FROM ledger_adjustments
            ) AS charge USING (subscription_id)
            LEFT JOIN invoice_entries ON entry_key = charge.key
            LEFT JOIN invoices USING (number)
            """,
        )
        return {
            row["entry_key"]: InvoiceSummary.model_validate(
                {name: row[name] for name in InvoiceSummary.model_fields}
            )
            for row in rows
        }

    async def notice(self, number: int) -> OutboxNotice:
        notices = await self._notices("number = $2", number)
        if not notices:
            raise refusal(RefusalCode.NOTICE_NOT_FOUND, "number")
        return notices[0]

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        kind: NoticeKind | None = None,
        subscription_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        """Return sent and waiting notices in the order of their numbers."""
        notices = await self._notices(
            """
            ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR notices.subscription_id = $3)
               AND ($4::text IS NULL OR kind = $4) AND number > $5
             ORDER BY number LIMIT $6
            """,
            state,
            subscription_id,
            kind,
            after,
            limit,
        )
        await self._check_filter(subscription_id, notices)
        return notices

    async def latest_notices(
        self, subscription_id: str, *, before: int | None = None, limit: int = 50
    ) -> list[OutboxNotice]:
        """Return the notices of a subscription, the latest first; with `before`, those with lower numbers."""
        notices = await self._notices(
            """
            notices.subscription_id = $2 AND ($3::bigint IS NULL OR number < $3)
             ORDER BY number DESC LIMIT $4
            """,
            subscription_id,
            before,
            limit,
        )
        await self._check_filter(subscription_id, notices)
        return notices

    async def _notices(self, condition: str, *arguments: object) -> list[OutboxNotice]:
        rows = await self._pool.fetch(
            f"""
            SELECT number, notices.subscription_id, customer_id, kind, event_date, threshold_days, sequence,
                   addressee, state, attempts, last_error, queued_at, completed_at, recipient, subject, body,
                   CASE WHEN state = 'WAITING' THEN next_attempt_at END AS next_attempt_at
              FROM notices LEFT JOIN notice_emails USING (number)
             WHERE ($1::text IS NULL OR customer_id = $1) AND {condition}
            """,  # noqa: S608 - the callers are those above
            self._customer_id,
            *arguments,
        )
        return [OutboxNotice.model_validate(dict(row)) for row in rows]

    # -- nightly reconciliation ----------------------------------------------------------------------

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """Return this run of the reconciliation job, or the latest run."""
        self._check_operator()
        row = await self._pool.fetchrow(
            """
            SELECT run, started_at, finished_at, checked, queried,
                   (SELECT count(*) FROM reconciliation_findings AS each WHERE each.run = found.run) AS found,
                   (SELECT count(*) FROM reconciliation_findings AS each
                     WHERE each.run = found.run AND repaired) AS repaired
              FROM reconciliations AS found
             WHERE $1::text IS NULL OR run = $1 ORDER BY started_at DESC LIMIT 1
            """,
            run,
        )
        if row is None:
            if run:
                raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND, "run", reason="RUN")
            raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND)
        return Reconciliation.model_validate(dict(row))

    async def findings(self, run: str, *, skip: int = 0, limit: int = 1000) -> list[ReportedFinding]:
        """Return the findings of a run: open findings first, then repaired findings."""
        self._check_operator()
        rows = await self._pool.fetch(
            """
            SELECT subscription_id, code, message, repaired, found_at FROM reconciliation_findings
             WHERE run = $1 ORDER BY repaired, code, subscription_id, message LIMIT $2 OFFSET $3
            """,
            run,
            limit,
            skip,
        )
        return [ReportedFinding.model_validate(dict(row)) for row in rows]

    # -- search ------------------------------------------------------------------------------------

    async def meant_by(self, reference: str, *, limit: int = 10) -> list[str]:
        """Return the IDs of the subscriptions that match a reference typed by a user, at most `limit`.

        A complete ID matches only itself. Otherwise the reference is a prefix of an ID (four characters or
        more), an account (admin@acme) or its name (acme).
        """
        if await self._exists(reference):
            return [reference]
        admin_id, at, name = reference.lower().rpartition("@")
        with contextlib.suppress(PydanticCustomError):
            name = account_name(name)
        prefix = reference if len(reference) >= _MIN_PREFIX_LENGTH else None
        rows = await self._pool.fetch(
            """
            SELECT subscription_id FROM account_names JOIN subscriptions USING (subscription_id)
             WHERE name = $2 AND ($3::text IS NULL OR snapshot ->> 'admin_id' = $3)
               AND ($5::text IS NULL OR customer_id = $5)
            UNION
            (SELECT subscription_id FROM subscriptions
              WHERE starts_with(subscription_id, $1) AND ($5::text IS NULL OR customer_id = $5) LIMIT $4)
            ORDER BY subscription_id LIMIT $4
            """,
            prefix,
            name,
            admin_id if at else None,
            limit,
            self._customer_id,
        )
        return [row["subscription_id"] for row in rows]

    async def of_account(self, admin_id: str, name: str, *, limit: int) -> list[str]:
        """Return the IDs of the subscriptions with this account, at most `limit`.

        Subscriptions that claim the same domain may have the same account. The one that holds the domain
        comes first, then the others by the age of their claims. A name that a rename waits for is ignored.
        """
        rows = await self._pool.fetch(
            """
            SELECT subscription_id FROM account_names JOIN subscriptions USING (subscription_id)
             WHERE name = $2 AND snapshot #>> '{account,name}' = $2 AND snapshot ->> 'admin_id' = $1
               AND ($4::text IS NULL OR customer_id = $4)
             ORDER BY status = 'HELD' DESC, reserved_since, subscription_id LIMIT $3
            """,
            admin_id,
            name,
            limit,
            self._customer_id,
        )
        return [row["subscription_id"] for row in rows]

    async def listed(self, ids: Sequence[str]) -> Sequence[SubscriptionSummary]:
        """Return the subscriptions with these IDs, in the given order, without unknown IDs."""
        rows = await self._pool.fetch(
            f"""
            SELECT {SUMMARY_COLUMNS} FROM subscriptions
             WHERE subscription_id = ANY($1) AND ($2::text IS NULL OR customer_id = $2)
            """,  # noqa: S608 - field names
            ids,
            self._customer_id,
        )
        found = {row["subscription_id"]: SubscriptionSummary.model_validate(dict(row)) for row in rows}
        return [found[id] for id in ids if id in found]

    async def check_selection(self, selection: Filters) -> None:
        """Raise `RefusalError` if a filter contains a plan that was never published."""
        if selects_by_plan(selection):
            check_selection(selection, await self.price_book())

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        those: Filters = (),
        after: str = "",
        limit: int = 50,
    ) -> list[SubscriptionSummary]:
        """Return the subscriptions after the ID `after` that match all filters, in the order of their IDs.

        The database must be able to evaluate all filters.
        """
        selection = those + (state_is(state) if state else ())
        if customer_id is not None:
            selection += customer_is(customer_id)
        await self.check_selection(selection)
        return [*await self.select(selection, after=after, limit=limit)]

    async def select(self, selection: Filters, *, after: str, limit: int) -> Sequence[SubscriptionSummary]:
        """Return subscriptions as `list` does, for filters that are already checked."""
        condition, values = to_sql(self._with_customer(selection))
        rows = await self._pool.fetch(
            f"""
            SELECT {SUMMARY_COLUMNS} FROM subscriptions
             WHERE {condition} AND subscription_id > ${len(values) + 1}
             ORDER BY subscription_id LIMIT ${len(values) + 2}
            """,  # noqa: S608 - to_sql passes values only as parameters
            *values,
            after,
            limit,
        )
        return [SubscriptionSummary.model_validate(dict(row)) for row in rows]

    async def selected_ids(self, selection: Filters, *, limit: int) -> Sequence[str]:
        """Return the IDs of the selected subscriptions, at most `limit`, in order."""
        condition, values = to_sql(self._with_customer(selection))
        rows = await self._pool.fetch(
            f"""
            SELECT subscription_id FROM subscriptions
             WHERE {condition} ORDER BY subscription_id LIMIT ${len(values) + 1}
            """,  # noqa: S608 - as above
            *values,
            limit,
        )
        return [row["subscription_id"] for row in rows]

    async def count(self, selection: Filters) -> int:
        """Return the number of selected subscriptions."""
        condition, values = to_sql(self._with_customer(selection))
        return (
            await self._pool.fetchval(
                f"SELECT count(*) FROM subscriptions WHERE {condition}",  # noqa: S608 - as above
                *values,
            )
            or 0
        )

    async def count_commandable(self) -> int:
        """Return the number of subscriptions that accept commands. For operators."""
        self._check_operator()
        number: int | None = await self._pool.fetchval(
            "SELECT count(*) FROM subscriptions WHERE state = ANY($1::text[])", _COMMANDABLE
        )
        return number or 0

    async def commandable_states(self, *, after: str, limit: int) -> Sequence[Subscription]:
        """Return the subscriptions after the ID `after` that accept commands, by ID. For operators."""
        self._check_operator()
        rows = await self._pool.fetch(
            """
            SELECT snapshot FROM subscriptions
             WHERE state = ANY($1::text[]) AND subscription_id > $2 ORDER BY subscription_id LIMIT $3
            """,
            _COMMANDABLE,
            after,
            limit,
        )
        return [Subscription.model_validate_json(row["snapshot"]) for row in rows]

    async def products(self, *, name: str = "", after: str = "", limit: int = 50) -> ProductPage:
        """Return the customer's live subscriptions with this text in their names, newest first."""
        return await list_products(self._pool, self._own_customer(), name=name, after=after, limit=limit)

    async def erased_products(self, *, limit: int = 50) -> Sequence[Subscription]:
        """Return the customer's erased subscriptions, the latest first."""
        return await list_erased(self._pool, self._own_customer(), limit=limit)

    # -- authorization -------------------------------------------------------------------------------

    def _own_customer(self) -> str:
        assert self._customer_id is not None, "only customers have products"
        return self._customer_id

    def _check_operator(self) -> None:
        if self._customer_id is not None:
            raise OperatorsOnlyError

    def _with_customer(self, selection: Filters) -> Filters:
        return selection + (customer_is(self._customer_id) if self._customer_id is not None else ())

    async def _rows_of(
        self, subscription_id: str, columns: str, join: str = "", *arguments: object, order: str = ""
    ) -> Sequence[asyncpg.Record]:
        """Return the rows of a subscription; raise `RefusalError` if it does not exist.

        `join` is a LEFT JOIN, so a subscription without rows gives one row, whose first column is null.
        """
        rows = await self._pool.fetch(
            f"""
            SELECT {columns} FROM subscriptions AS subscription {join}
             WHERE subscription.subscription_id = $1
               AND ($2::text IS NULL OR subscription.customer_id = $2)
            {order and f"ORDER BY {order}"}
            """,  # noqa: S608 - the callers pass constants
            subscription_id,
            self._customer_id,
            *arguments,
        )
        if not rows:
            raise no_such_subscription()
        return [row for row in rows if row[0] is not None]

    async def _check_filter(self, subscription_id: str | None, rows: Sequence[Any]) -> None:
        """Raise `RefusalError` if a list is empty because its filter names an unknown subscription."""
        if subscription_id is not None and not rows:
            await self.check_exists(subscription_id)

    async def _exists(self, subscription_id: str) -> bool:
        exists: bool | None = await self._pool.fetchval(
            """
            SELECT true FROM subscriptions
             WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2)
            """,
            subscription_id,
            self._customer_id,
        )
        return bool(exists)
