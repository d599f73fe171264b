"""Queries answered by PostgreSQL alone; they work while Temporal is down and do not import temporalio."""

import contextlib
from collections.abc import Sequence
from datetime import date, datetime

from pydantic_core import PydanticCustomError

from adapters.postgres.pool import Pool
from starter.filter_values import check_selection, selects_by_plan
from starter.filters import Filters, customer_is, state_is
from starter.read_model import ReadModel, SubscriptionSummary, no_such_subscription
from subscription.account_names import account_name
from subscription.activity_contracts import CustomerEvent
from subscription.adjustment import Adjustment, adjustment_key
from subscription.attention import ShownAttention
from subscription.business_calendar import KST, day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.events import Event
from subscription.explain import Explanation, explain
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import RefusalCode, refusal
from subscription.request import Account
from subscription.state import State
from subscription.status import Status, status_of
from subscription.timeline import ErasureCertificate, TimelineEntry

_MIN_PREFIX_LENGTH = 4
"""A shorter prefix of an ID would match many subscriptions."""


class NameAvailability(Frozen):
    """Availability of an account name at present. Only a request reserves the name (R5)."""

    name: str
    kind: str
    available: bool


class SubscriptionQueries:
    """Queries about subscriptions, which also work while Temporal is unavailable.

    Every method raises `RefusalError` if the rules refuse the call, and `OSError` if the database is
    unreachable.
    """

    def __init__(self, pool: Pool) -> None:
        self._read = ReadModel(pool)

    async def catalogue(self) -> Catalogue | None:
        """Return the catalogue on sale today, by the real clock; None if none is in force yet (R2, R19)."""
        return (await self._read.price_book()).in_force(day_of(datetime.now(KST)))

    async def check_name(self, account: Account) -> NameAvailability:
        holder = await self._read.holder(account.name)
        return NameAvailability(name=account.name, kind=account.kind, available=holder is None)

    async def status(self, subscription_id: str) -> Status:
        state = await self._read.get_snapshot(subscription_id)
        return status_of(state, (await self._read.price_book()).domain_policy)

    async def check_exists(self, subscription_id: str, *, customer_id: str | None = None) -> None:
        """Raise `RefusalError` if no subscription (of this customer, if given) has this ID."""
        if not await self._read.exists(subscription_id, customer_id):
            raise no_such_subscription()

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[TimelineEntry]:
        """Return the timeline entries after the event with the number `after`, in order."""
        await self.check_exists(subscription_id)
        return await self._read.timeline(subscription_id, after=after, limit=limit)

    async def customer_events(
        self,
        customer_id: str,
        *,
        after: int = 0,
        limit: int = 50,
        event: str | None = None,
        subscription_id: str | None = None,
    ) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer, in the order of recording."""
        return await self._read.customer_events(
            customer_id, after=after, limit=limit, event=event, subscription_id=subscription_id
        )

    async def history(self, subscription_id: str) -> list[Event]:
        """Return the events without personal data; `timeline` returns the same events as text."""
        await self.check_exists(subscription_id)
        return await self._read.history(subscription_id)

    async def account_names(self, subscription_ids: Sequence[str]) -> dict[str, str]:
        """Return the account names of these subscriptions. Erased subscriptions have none."""
        return await self._read.account_names(subscription_ids)

    async def price_book(self) -> PriceBook:
        """Return the price book with all published catalogue versions."""
        return await self._read.price_book()

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        await self.check_exists(subscription_id)
        return await self._read.ledger(subscription_id)

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        """Explain the calculation of every ledger line, or of the line with this key."""
        lines = [line for line in await self.ledger(subscription_id) if key in (None, line.key)]
        if key is not None and not lines:
            raise refusal(RefusalCode.LINE_NOT_FOUND, "key")
        return [explain(line) for line in lines]

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        return await self._read.certificates(subscription_id)

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention, or None. Workers copy the reason from Temporal."""
        attention = await self._read.attention(subscription_id)
        return ShownAttention.of(attention) if attention else None

    # -- idempotency ---------------------------------------------------------------------------------

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        key = adjustment_key(subscription_id, adjustment_id)
        return key in [adjustment.key for adjustment in await self._read.adjustments(subscription_id)]

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        await self.check_exists(subscription_id)
        return await self._read.adjustments(subscription_id)

    async def invoice(self, number: str, *, customer_id: str | None = None) -> Invoice:
        """Return an invoice; with `customer_id`, only an invoice of that customer."""
        invoice = await self._read.invoice(number, customer_id)
        if invoice is None:
            raise refusal(RefusalCode.INVOICE_NOT_FOUND, "number")
        return invoice

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
        return await self._read.invoices(
            customer_id=customer_id, month=month, kind=kind, after=after, limit=limit
        )

    # -- notices -------------------------------------------------------------------------------------

    async def notice(self, number: int, *, customer_id: str | None = None) -> OutboxNotice:
        """Return a notice; with `customer_id`, only a notice to that customer."""
        notice = await self._read.notice(number, customer_id)
        if notice is None:
            raise refusal(RefusalCode.NOTICE_NOT_FOUND, "number")
        return notice

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        kind: NoticeKind | None = None,
        subscription_id: str | None = None,
        customer_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        """Return sent and waiting notices in the order of their numbers."""
        return await self._read.notices(
            state=state,
            kind=kind,
            subscription_id=subscription_id,
            customer_id=customer_id,
            after=after,
            limit=limit,
        )

    # -- nightly reconciliation ----------------------------------------------------------------------

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """Return this run of the reconciliation job, or the latest run."""
        reconciliation = await self._read.reconciliation(run)
        if reconciliation is None:
            if run:
                raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND, "run", reason="RUN")
            raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND)
        return reconciliation

    async def findings(self, run: str, *, skip: int = 0, limit: int = 1000) -> list[ReportedFinding]:
        """Return the findings of a run: open findings first, then repaired findings."""
        return await self._read.findings(run, skip=skip, limit=limit)

    # -- search ------------------------------------------------------------------------------------

    async def meant_by(self, reference: str, *, limit: int = 10) -> list[str]:
        """Return the IDs of the subscriptions that match a reference typed by a user, at most `limit`.

        A complete ID matches only itself. Otherwise the reference is a prefix of an ID (four characters or
        more), an account (admin@acme) or its name (acme).
        """
        if await self._read.exists(reference, None):
            return [reference]
        admin_id, at, name = reference.lower().rpartition("@")
        with contextlib.suppress(PydanticCustomError):
            name = account_name(name)
        prefix = reference if len(reference) >= _MIN_PREFIX_LENGTH else None
        return await self._read.meant_by(prefix, name, admin_id if at else None, limit=limit)

    async def listed(self, ids: Sequence[str]) -> Sequence[SubscriptionSummary]:
        """Return the subscriptions with these IDs, in the given order, without unknown IDs."""
        rows = await self._read.listed(ids)
        return [rows[id] for id in ids if id in rows]

    async def check_selection(self, selection: Filters) -> None:
        """Raise `RefusalError` if a filter contains a plan that was never published."""
        if selects_by_plan(selection):
            check_selection(selection, await self.price_book())

    async def select(
        self, selection: Filters, *, after: str = "", limit: int = 50
    ) -> list[SubscriptionSummary]:
        """Return the subscriptions that match all filters, in the order of their IDs.

        The database must be able to evaluate all filters.
        """
        await self.check_selection(selection)
        return await self._read.list(selection, after=after, limit=limit)

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[SubscriptionSummary]:
        """Return the subscriptions after the ID `after`, in the order of their IDs."""
        selection = (state_is(state) if state else ()) + (customer_is(customer_id) if customer_id else ())
        return await self.select(selection, after=after, limit=limit)
