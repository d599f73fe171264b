"""Read model: SQL queries behind `SubscriptionQueries`."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple

from adapters.postgres.command_answers import stored_answer
from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import ReadOnlyPool
from starter.filters import Filters, to_sql
from subscription.activity_contracts import CustomerEvent, StoredAnswerInput, StoredAnswerResult
from subscription.adjustment import Adjustment, adjustment_key
from subscription.attention import Attention
from subscription.business_calendar import Day, Instant
from subscription.catalogue import Catalogue, PriceBook
from subscription.commands import Command
from subscription.contract import ContractTerm
from subscription.deadlines import DeadlineKind
from subscription.events import EVENT_ADAPTER, Event
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import RefusalCode, RefusalError, refusal
from subscription.state import Access, State, Subscription
from subscription.timeline import ErasureCertificate, RequestAnswer, TimelineEntry


class SubscriptionSummary(Frozen):
    """A subscription in a list."""

    subscription_id: str
    customer_id: str
    account_name: str | None
    """The group or domain name, without the administrator's ID; None after erasure."""
    state: State
    access: Access
    plan: str
    members: int
    term: ContractTerm | None
    trial_ends_at: Instant
    contract_to: Day | None
    reservation: Literal["SWITCH_TO_PAID", "CANCELLATION"] | None
    reservation_date: Day | None
    next_deadline_at: Instant | None
    next_deadline: DeadlineKind | None


def no_such_subscription() -> RefusalError:
    return refusal(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id")


ACCOUNT_NAME = "(snapshot -> 'account' ->> 'name')"
"""SQL expression for the account name."""
_ACCOUNT_NAME_COLUMN = f"{ACCOUNT_NAME} AS account_name"
_SUMMARY_COLUMNS = ", ".join(
    _ACCOUNT_NAME_COLUMN if name == "account_name" else name for name in SubscriptionSummary.model_fields
)


class RecordedRequest(Frozen):
    """An accepted request; `same` is true if its body equals the body of the present request."""

    same: bool
    answer: RequestAnswer


class RequestContext(NamedTuple):
    """Facts for the validation of a request.

    They are the published prices, the present holder of the account name, and an earlier request with the
    same request ID (idempotency).
    """

    book: PriceBook
    holder: str | None
    earlier: RecordedRequest | None


class ReadModel:
    def __init__(self, pool: Pool) -> None:
        self._pool = ReadOnlyPool(pool)
        self._unguarded = pool

    async def price_book(self) -> PriceBook:
        rows = await self._pool.fetch("SELECT document FROM catalogue_versions ORDER BY number")
        return PriceBook(versions=tuple(Catalogue.model_validate_json(row["document"]) for row in rows))

    async def snapshot(self, subscription_id: str) -> Subscription | None:
        document = await self._pool.fetchval(
            "SELECT snapshot FROM subscriptions WHERE subscription_id = $1", subscription_id
        )
        return Subscription.model_validate_json(document) if document else None

    async def get_snapshot(self, subscription_id: str) -> Subscription:
        """Return the last recorded state; raises `RefusalError` if the subscription does not exist."""
        state = await self.snapshot(subscription_id)
        if state is None:
            raise no_such_subscription()
        return state

    async def exists(self, subscription_id: str, customer_id: str | None) -> bool:
        """Return whether the subscription exists and, if given, belongs to this customer."""
        exists: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM subscriptions
                            WHERE subscription_id = $1 AND ($2::text IS NULL OR customer_id = $2))
            """,
            subscription_id,
            customer_id,
        )
        return exists

    async def request_context(
        self, request_id: str | None, name: str | None, fingerprint: str = ""
    ) -> RequestContext:
        """Load the facts for the validation of a request in one query.

        Without an ID and a name, load only the price book.
        """
        row = await self._pool.fetchrow(
            """
            SELECT (SELECT array_agg(document::text ORDER BY number) FROM catalogue_versions) AS documents,
                   (SELECT subscription_id FROM account_names WHERE name = $2) AS holder,
                   subscription_id, trial_ends_at, state,
                   CASE WHEN state = 'ERASED' THEN matches_erased_request(subscription_id, $3)
                        ELSE request_fingerprint = $3 END AS same
              FROM (VALUES (1)) AS always LEFT JOIN subscriptions ON request_id = $1
            """,
            request_id,
            name,
            fingerprint,
        )
        assert row is not None
        versions = tuple(Catalogue.model_validate_json(document) for document in row["documents"] or ())
        earlier = row["subscription_id"] and RecordedRequest(
            same=row["same"],
            answer=RequestAnswer(
                subscription_id=row["subscription_id"],
                # The original answer. After erasure the state tells the caller that no data exists any more.
                state=State.ERASED if row["state"] == State.ERASED else State.TRIAL,
                trial_ends_at=row["trial_ends_at"],
            ),
        )
        return RequestContext(PriceBook(versions=versions), row["holder"], earlier)

    async def holder(self, name: str) -> str | None:
        """Return the active subscription that has reserved the name; None if the name is free (R5)."""
        holder: str | None = await self._pool.fetchval(
            "SELECT subscription_id FROM account_names WHERE name = $1", name
        )
        return holder

    async def timeline(self, subscription_id: str, *, after: int, limit: int | None) -> list[TimelineEntry]:
        rows = await self._pool.fetch(
            """
            SELECT sequence, effective_at AS at, event, state, message FROM lifecycle_events
             WHERE subscription_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
            """,
            subscription_id,
            after,
            limit,
        )
        return [TimelineEntry.model_validate(dict(row)) for row in rows]

    async def customer_events(
        self, customer_id: str, *, after: int, limit: int, event: str | None, subscription_id: str | None
    ) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer after the number `after`."""
        rows = await self._pool.fetch(
            """
            SELECT number, subscription_id, sequence, effective_at AS at, event, state, message
              FROM customer_events JOIN lifecycle_events USING (subscription_id, sequence)
             WHERE customer_id = $1 AND number > $2
               AND ($4::text IS NULL OR event = $4) AND ($5::text IS NULL OR subscription_id = $5)
             ORDER BY number LIMIT $3
            """,
            customer_id,
            after,
            limit,
            event,
            subscription_id,
        )
        return [CustomerEvent.model_validate(dict(row)) for row in rows]

    async def history(self, subscription_id: str) -> list[Event]:
        """Return the events without personal data, which the database stores in a separate table."""
        rows = await self._pool.fetch(
            "SELECT detail FROM lifecycle_events WHERE subscription_id = $1 ORDER BY sequence",
            subscription_id,
        )
        return [EVENT_ADAPTER.validate_json(row["detail"]) for row in rows]

    async def account_names(self, subscription_ids: Sequence[str]) -> dict[str, str]:
        rows = await self._pool.fetch(
            f"""
            SELECT subscription_id, {_ACCOUNT_NAME_COLUMN} FROM subscriptions
             WHERE subscription_id = ANY($1) AND snapshot -> 'account' ->> 'name' IS NOT NULL
            """,  # noqa: S608 - a constant
            subscription_ids,
        )
        return {row["subscription_id"]: row["account_name"] for row in rows}

    async def meant_by(self, prefix: str | None, name: str, admin_id: str | None, *, limit: int) -> list[str]:
        """Return the IDs with this prefix, and the ID that has reserved the name.

        If `admin_id` is given, the name must belong to an account with this administrator.
        """
        rows = await self._pool.fetch(
            """
            SELECT subscription_id FROM account_names JOIN subscriptions USING (subscription_id)
             WHERE name = $2 AND ($3::text IS NULL OR snapshot ->> 'admin_id' = $3)
            UNION
            (SELECT subscription_id FROM subscriptions WHERE starts_with(subscription_id, $1) LIMIT $4)
            ORDER BY subscription_id LIMIT $4
            """,
            prefix,
            name,
            admin_id,
            limit,
        )
        return [row["subscription_id"] for row in rows]

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        rows = await self._pool.fetch(
            "SELECT line FROM ledger_lines WHERE subscription_id = $1 ORDER BY sequence, position",
            subscription_id,
        )
        return [LedgerLine.model_validate_json(row["line"]) for row in rows]

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        """Return the compensating ledger lines, in the order of their creation."""
        rows = await self._pool.fetch(
            """
            SELECT adjustment_id, line_key, amount, reason, reference, effective_at
              FROM ledger_adjustments WHERE subscription_id = $1 ORDER BY effective_at, adjustment_id
            """,
            subscription_id,
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

    async def invoice(self, number: str, customer_id: str | None) -> Invoice | None:
        document = await self._pool.fetchval(
            """
            SELECT document FROM invoices
             WHERE number = $1 AND ($2::text IS NULL OR customer_id = $2)
            """,
            number,
            customer_id,
        )
        return Invoice.model_validate_json(document) if document else None

    async def invoices(
        self, *, customer_id: str | None, month: date | None, kind: str | None = None, after: str, limit: int
    ) -> list[Invoice]:
        """Return the invoices after the number `after`, in the order of their numbers."""
        rows = await self._pool.fetch(
            """
            SELECT document FROM invoices
             WHERE ($1::text IS NULL OR customer_id = $1) AND ($2::date IS NULL OR month = $2)
               AND number > $3 AND ($5::text IS NULL OR document ->> 'kind' = $5)
             ORDER BY number LIMIT $4
            """,
            customer_id,
            month,
            after,
            limit,
            kind,
        )
        return [Invoice.model_validate_json(row["document"]) for row in rows]

    async def notice(self, number: int, customer_id: str | None) -> OutboxNotice | None:
        notices = await self._notices(
            "number = $1 AND ($2::text IS NULL OR customer_id = $2)", number, customer_id
        )
        return notices[0] if notices else None

    async def notices(
        self,
        *,
        state: NoticeState | None,
        subscription_id: str | None,
        customer_id: str | None,
        after: int,
        limit: int,
        kind: NoticeKind | None = None,
    ) -> list[OutboxNotice]:
        """Return the notices after the number `after`, in the order of their numbers."""
        return await self._notices(
            """
            ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR notices.subscription_id = $2)
               AND ($3::text IS NULL OR customer_id = $3) AND number > $4
               AND ($6::text IS NULL OR kind = $6)
             ORDER BY number LIMIT $5
            """,
            state,
            subscription_id,
            customer_id,
            after,
            limit,
            kind,
        )

    async def _notices(self, condition: str, *arguments: object) -> list[OutboxNotice]:
        rows = await self._pool.fetch(
            f"""
            SELECT number, notices.subscription_id, customer_id, kind, event_date, threshold_days, state,
                   attempts, last_error, queued_at, completed_at, recipient, subject, body,
                   CASE WHEN state = 'WAITING' THEN next_attempt_at END AS next_attempt_at
              FROM notices LEFT JOIN notice_emails USING (number)
             WHERE {condition}
            """,  # noqa: S608 - the callers are the two above
            *arguments,
        )
        return [OutboxNotice.model_validate(dict(row)) for row in rows]

    async def reconciliation(self, run: str | None) -> Reconciliation | None:
        """Return this run of the reconciliation job, or the latest run."""
        row = await self._pool.fetchrow(
            """
            SELECT run, started_at, finished_at, checked,
                   (SELECT count(*) FROM reconciliation_findings AS each WHERE each.run = found.run) AS found,
                   (SELECT count(*) FROM reconciliation_findings AS each
                     WHERE each.run = found.run AND repaired) AS repaired
              FROM reconciliations AS found
             WHERE $1::text IS NULL OR run = $1 ORDER BY started_at DESC LIMIT 1
            """,
            run,
        )
        return Reconciliation.model_validate(dict(row)) if row else None

    async def findings(self, run: str, *, skip: int, limit: int) -> list[ReportedFinding]:
        """Return the findings of a run: open findings first, then repaired findings."""
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

    async def accepted_at(self, subscription_id: str, command_id: str) -> datetime | None:
        """Return the time of the subscription's clock when a command was last accepted under this ID."""
        at: datetime | None = await self._pool.fetchval(
            """
            SELECT max(effective_at)
              FROM command_answers JOIN lifecycle_events USING (subscription_id, sequence)
             WHERE subscription_id = $1 AND command_id = $2
            """,
            subscription_id,
            command_id,
        )
        return at

    async def answer(self, subscription_id: str, command: Command) -> StoredAnswerResult:
        """Return the original answer to this command, if its ID was accepted before (idempotency, R22)."""
        if command.id is None:
            return StoredAnswerResult()
        return await stored_answer(
            self._unguarded,
            StoredAnswerInput(
                subscription_id=subscription_id, command_id=command.id, fingerprint=command.fingerprint()
            ),
        )

    async def attention(self, subscription_id: str) -> Attention | None:
        row = await self._pool.fetchrow(
            "SELECT kind, reason, since FROM attention WHERE subscription_id = $1", subscription_id
        )
        return Attention.model_validate(dict(row)) if row else None

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        """Return the erasure certificates: of the database, then of the workflow histories (R31)."""
        rows = await self._pool.fetch(
            """
            SELECT subscription_id, erased_at, rows
              FROM erasure_certificates WHERE subscription_id = $1 ORDER BY part
            """,
            subscription_id,
        )
        return [
            ErasureCertificate(
                subscription_id=row["subscription_id"],
                erased_at=row["erased_at"],
                rows=json.loads(row["rows"]),
            )
            for row in rows
        ]

    async def list(self, selection: Filters, *, after: str, limit: int) -> list[SubscriptionSummary]:
        """Return the selected subscriptions after the ID `after`, in the order of their IDs."""
        condition, values = to_sql(selection)
        rows = await self._pool.fetch(
            f"""
            SELECT {_SUMMARY_COLUMNS} FROM subscriptions
             WHERE {condition} AND subscription_id > ${len(values) + 1}
             ORDER BY subscription_id LIMIT ${len(values) + 2}
            """,  # noqa: S608 - to_sql passes values only as parameters
            *values,
            after,
            limit,
        )
        return [SubscriptionSummary.model_validate(dict(row)) for row in rows]

    async def count(self, selection: Filters) -> int:
        """Return the number of selected subscriptions."""
        condition, values = to_sql(selection)
        return (
            await self._pool.fetchval(
                f"SELECT count(*) FROM subscriptions WHERE {condition}",  # noqa: S608 - as above
                *values,
            )
            or 0
        )

    async def listed(self, ids: Sequence[str]) -> dict[str, SubscriptionSummary]:
        """Return the recorded subscriptions with these IDs, by ID."""
        rows = await self._pool.fetch(
            f"SELECT {_SUMMARY_COLUMNS} FROM subscriptions WHERE subscription_id = ANY($1)",  # noqa: S608 - field names
            ids,
        )
        return {row["subscription_id"]: SubscriptionSummary.model_validate(dict(row)) for row in rows}
