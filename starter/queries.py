"""Queries answered by PostgreSQL alone; works while Temporal is down and does not import temporalio."""

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

_SHORTEST_BEGINNING = 4
"""Fewer characters of an id would mean many subscriptions."""


class NameAvailability(Frozen):
    """Whether an account name could be requested now; only a request takes it (R5)."""

    name: str
    kind: str
    available: bool


class SubscriptionQueries:
    """Questions about subscriptions, also while Temporal is away.

    Every method raises `RefusalError` where the rules say no, and `OSError` where the database is away.
    """

    def __init__(self, pool: Pool) -> None:
        self._read = ReadModel(pool)

    async def catalogue(self) -> Catalogue | None:
        """What is sold today, by the real clock; None if nothing is yet (R2, R19)."""
        return (await self._read.price_book()).in_force(day_of(datetime.now(KST)))

    async def check_name(self, account: Account) -> NameAvailability:
        holder = await self._read.holder(account.name)
        return NameAvailability(name=account.name, kind=account.kind, available=holder is None)

    async def status(self, subscription_id: str) -> Status:
        state = await self._read.get_snapshot(subscription_id)
        return status_of(state, (await self._read.price_book()).domain_policy)

    async def check_exists(self, subscription_id: str, *, customer_id: str | None = None) -> None:
        """Refuse an id that no subscription has; with `customer_id`, no subscription of that customer."""
        if not await self._read.exists(subscription_id, customer_id):
            raise no_such_subscription()

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[TimelineEntry]:
        """What happened, in order, after the event of this number."""
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
        """Return the events of all subscriptions of a customer, in the order in which they were recorded."""
        return await self._read.customer_events(
            customer_id, after=after, limit=limit, event=event, subscription_id=subscription_id
        )

    async def history(self, subscription_id: str) -> list[Event]:
        """What happened, as facts that name nobody; `timeline` has the same in words."""
        await self.check_exists(subscription_id)
        return await self._read.history(subscription_id)

    async def account_names(self, subscription_ids: Sequence[str]) -> dict[str, str]:
        """The names of those that have one; what is erased has none."""
        return await self._read.account_names(subscription_ids)

    async def price_book(self) -> PriceBook:
        """Every catalogue version that was published."""
        return await self._read.price_book()

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        await self.check_exists(subscription_id)
        return await self._read.ledger(subscription_id)

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        """Every ledger line taken apart, or the one with this key."""
        lines = [line for line in await self.ledger(subscription_id) if key in (None, line.key)]
        if key is not None and not lines:
            raise refusal(RefusalCode.LINE_NOT_FOUND, "key")
        return [explain(line) for line in lines]

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        return await self._read.certificates(subscription_id)

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention, as workers have copied it; None if it does not."""
        found = await self._read.attention(subscription_id)
        return ShownAttention.of(found) if found else None

    # -- what was accepted before --------------------------------------------------------------------

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        key = adjustment_key(subscription_id, adjustment_id)
        return key in [each.key for each in await self._read.adjustments(subscription_id)]

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        await self.check_exists(subscription_id)
        return await self._read.adjustments(subscription_id)

    async def invoice(self, number: str, *, customer_id: str | None = None) -> Invoice:
        """With `customer_id`, only if it is that customer's."""
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
        """Invoices in the order of their numbers; `month` is the first day of one."""
        return await self._read.invoices(
            customer_id=customer_id, month=month, kind=kind, after=after, limit=limit
        )

    # -- notices -------------------------------------------------------------------------------------

    async def notice(self, number: int, *, customer_id: str | None = None) -> OutboxNotice:
        """With `customer_id`, only if it is that customer's."""
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
        """What customers were told, or will be, in the order of the notices' numbers."""
        return await self._read.notices(
            state=state,
            kind=kind,
            subscription_id=subscription_id,
            customer_id=customer_id,
            after=after,
            limit=limit,
        )

    # -- what the nightly comparison has found -------------------------------------------------------

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """This run of the job, or the newest one."""
        found = await self._read.reconciliation(run)
        if found is None:
            if run:
                raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND, "run", reason="RUN")
            raise refusal(RefusalCode.RECONCILIATION_NOT_FOUND)
        return found

    async def findings(self, run: str, *, skip: int = 0, limit: int = 1000) -> list[ReportedFinding]:
        """First what is left for somebody to look at, then what was repaired."""
        return await self._read.findings(run, skip=skip, limit=limit)

    # -- finding -----------------------------------------------------------------------------------

    async def meant_by(self, reference: str, *, limit: int = 10) -> list[str]:
        """Return the ids of the subscriptions that a person may mean, `limit` at most.

        An id in full means itself. Else the reference is the beginning of an id (four characters or more),
        an account (admin@acme) or its name (acme).
        """
        if await self._read.exists(reference, None):
            return [reference]
        admin_id, at, name = reference.lower().rpartition("@")
        with contextlib.suppress(PydanticCustomError):
            name = account_name(name)
        beginning = reference if len(reference) >= _SHORTEST_BEGINNING else None
        return await self._read.meant_by(beginning, name, admin_id if at else None, limit=limit)

    async def listed(self, ids: Sequence[str]) -> Sequence[SubscriptionSummary]:
        """Return the subscriptions with these ids, in the order given, without those not recorded."""
        rows = await self._read.listed(ids)
        return [rows[each] for each in ids if each in rows]

    async def check_selection(self, selection: Filters) -> None:
        """Raise `RefusalError` if a condition names a plan that was never published."""
        if selects_by_plan(selection):
            check_selection(selection, await self.price_book())

    async def select(
        self, selection: Filters, *, after: str = "", limit: int = 50
    ) -> list[SubscriptionSummary]:
        """Those of which all conditions hold, in the order of their ids; the record must know of them all."""
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
        """Subscriptions in the order of their ids, those after the id `after`."""
        selection = (state_is(state) if state else ()) + (customer_is(customer_id) if customer_id else ())
        return await self.select(selection, after=after, limit=limit)
