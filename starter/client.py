"""The one way in: requests, commands and questions, typed, for everybody who asks."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.database import Pool
from starter.finding import Finder, Found
from starter.read_model import Listed, ReadModel, no_such_subscription
from starter.refusing import refusal_in
from starter.requesting import Requests
from starter.selection import Selection, customer_is, state_is
from starter.test_clock import TestClock
from starter.updating import Updates
from subscription.adjustment import Adjust, Adjustment
from subscription.calendar import KST, Instant, day_of
from subscription.catalogue import Catalogue, PriceBook, Term, required_terms
from subscription.commands import ContractTerm
from subscription.deadlines import caught_up
from subscription.effects import (
    WORKFLOW_ID_PREFIX,
    Answer,
    ErasureCertificate,
    RequestAnswer,
    TimelineEntry,
)
from subscription.events import Event
from subscription.explain import Explanation, explain
from subscription.forecast import Coming, Quote, quote_cancellation, upcoming
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.outbox import NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import Code, Refused, RefusedError, refuse
from subscription.request import Account
from subscription.state import State, Subscription
from subscription.status import Status, status_of
from subscription.validation import check, problems_of
from workflows.connection import TASK_QUEUE


class Availability(Frozen):
    """Whether an account name could be requested now; only a request takes it (R5)."""

    name: str
    kind: str
    available: bool


class Standing(Frozen):
    """All that the rules need to judge a command now: the state after what is due, the time, the prices."""

    state: Subscription
    now: Instant
    book: PriceBook


class SubscriptionClient:
    """Requests, commands and questions about subscriptions.

    Every method raises `RefusedError` where the rules say no, `RPCError` or `OSError` where a server
    cannot be reached, and `RPCTimeoutOrCancelledError` where it went away in the middle.
    """

    def __init__(self, temporal: Client, pool: Pool, *, task_queue: str = TASK_QUEUE) -> None:
        self._temporal = temporal
        self._read = ReadModel(pool)
        self._finder = Finder(temporal, self._read)
        self._requests = Requests(temporal, self._read, task_queue)
        self._updates = Updates(temporal, self._read)
        self._task_queue = task_queue

    # -- requesting (R1-R9) --------------------------------------------------------------------------

    async def catalogue(self) -> Catalogue | None:
        """What is sold today, by the real clock; None if nothing is yet (R2, R19)."""
        return (await self._read.price_book()).in_force(day_of(datetime.now(KST)))

    async def check_name(self, account: Account) -> Availability:
        holder = await self._read.holder(account.name)
        return Availability(name=account.name, kind=account.kind, available=holder is None)

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Request a subscription; the answer comes when its trial has started (R9).

        `data` has the fields of `Request`. Sent again it gives the first answer again.
        """
        return await self._requests.request(data)

    async def check_request(self, data: Mapping[str, Any]) -> Refused | None:
        """All that is wrong with a request as things stand, without making it; None if nothing is."""
        return await self._requests.check(data)

    # -- commands (R10-R29) --------------------------------------------------------------------------

    async def switch_to_paid(
        self,
        subscription_id: str,
        day: date,
        term: ContractTerm,
        *,
        plan: str | None = None,
        members: int | None = None,
        **carried: Any,
    ) -> Answer:
        argument = {"date": day.isoformat(), "term": term, "plan": plan, "members": members}
        return await self.command(subscription_id, "switch_to_paid", _given(argument) | carried)

    async def change_renewal_option(
        self,
        subscription_id: str,
        term: ContractTerm | None,
        *,
        plan: str | None = None,
        members: int | None = None,
        **carried: Any,
    ) -> Answer:
        argument = {"term": term} | _given({"plan": plan, "members": members})
        return await self.command(subscription_id, "change_renewal_option", argument | carried)

    async def upgrade(
        self,
        subscription_id: str,
        agreed_terms: Sequence[Mapping[str, str]],
        *,
        plan: str | None = None,
        members: int | None = None,
        term: ContractTerm | None = None,
        **carried: Any,
    ) -> Answer:
        argument = _given({"plan": plan, "members": members, "term": term})
        return await self.command(
            subscription_id, "upgrade", argument | {"agreed_terms": list(agreed_terms)} | carried
        )

    async def cancel(self, subscription_id: str, day: date, confirmation: str, **carried: Any) -> Answer:
        argument = {"date": day.isoformat(), "confirmation": confirmation}
        return await self.command(subscription_id, "cancel", argument | carried)

    async def withdraw_reservation(self, subscription_id: str, **carried: Any) -> Answer:
        return await self.command(subscription_id, "withdraw_reservation", carried)

    async def rename_account(self, subscription_id: str, account: Account, **carried: Any) -> Answer:
        return await self.command(
            subscription_id, "rename_account", {account.kind.lower(): account.name} | carried
        )

    async def check_domain(self, subscription_id: str, **carried: Any) -> Answer:
        return await self.command(subscription_id, "check_domain", carried)

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        """Any command by its name on the wire; `id`, `by` and `at` may be among the fields (R22)."""
        return await self._updates.command(subscription_id, name, argument)

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return once all is done that is due by the subscription's own clock; at `at`, if simulated."""
        await self._updates.settle(subscription_id, at)

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjust(self, data: Mapping[str, Any]) -> Adjustment:
        """Correct a ledger line by a compensating one; `data` has the fields of `Adjust`.

        Works for subscriptions that have ended too. Sent again it gives the first answer again.
        """
        try:
            wanted = check(Adjust, dict(data))
        except ValidationError as error:
            raise RefusedError(_unreadable("The adjustment", error)) from None
        try:
            adjustment: Adjustment = await self._temporal.execute_workflow(
                "AdjustmentWorkflow",
                wanted,
                id=f"adjustment-{wanted.subscription_id}-{wanted.id}",
                task_queue=self._task_queue,
                result_type=Adjustment,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{wanted.reason} {wanted.reference}: {wanted.amount:,} KRW",
            )
        except WorkflowFailureError as error:
            raise RefusedError(refusal_in(error)) from None
        return adjustment

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        await self.check_exists(subscription_id)
        return await self._read.adjustments(subscription_id)

    async def invoice(self, number: str, *, customer_id: str | None = None) -> Invoice:
        """With `customer_id`, only if it is that customer's."""
        invoice = await self._read.invoice(number, customer_id)
        if invoice is None:
            raise refuse(Code.INVOICE_NOT_FOUND, "There is no invoice with that number.", "number")
        return invoice

    async def invoices(
        self,
        *,
        customer_id: str | None = None,
        month: date | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Invoice]:
        """Invoices in the order of their numbers; `month` is the first day of one."""
        return await self._read.invoices(customer_id=customer_id, month=month, after=after, limit=limit)

    # -- notices -------------------------------------------------------------------------------------

    async def notice(self, number: int, *, customer_id: str | None = None) -> OutboxNotice:
        """With `customer_id`, only if it is that customer's."""
        notice = await self._read.notice(number, customer_id)
        if notice is None:
            raise refuse(Code.NOTICE_NOT_FOUND, "There is no notice with that number.", "number")
        return notice

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        subscription_id: str | None = None,
        customer_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        """What customers were told, or will be, in the order of the notices' numbers."""
        return await self._read.notices(
            state=state, subscription_id=subscription_id, customer_id=customer_id, after=after, limit=limit
        )

    # -- what the nightly comparison has found -------------------------------------------------------

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """This run of the job, or the newest one."""
        found = await self._read.reconciliation(run)
        if found is None:
            message = "There is no run of that name." if run else "Nothing has been reconciled yet."
            raise refuse(Code.RECONCILIATION_NOT_FOUND, message, "run" if run else None)
        return found

    async def findings(self, run: str, *, limit: int = 1000) -> list[ReportedFinding]:
        """First what is left for somebody to look at, then what was repaired."""
        return await self._read.findings(run, limit=limit)

    # -- questions -----------------------------------------------------------------------------------

    async def status(self, subscription_id: str) -> Status:
        state = await self._read.existing(subscription_id)
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

    async def standing(self, subscription_id: str) -> Standing:
        """Where it stands by its own clock (R33), for the rules to be asked before anything is done."""
        state, book = await self._read.existing(subscription_id), await self._read.price_book()
        now = await self._now(state)
        return Standing(state=caught_up(state, now, book), now=now, book=book)

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
            raise refuse(Code.LINE_NOT_FOUND, "The ledger has no line with that key.", "key")
        return [explain(line) for line in lines]

    async def quote_cancellation(self, subscription_id: str, day: date) -> Quote:
        """What cancelling on `day` would cost, by the subscription's own clock (R28, R33)."""
        state = await self._read.existing(subscription_id)
        quote = quote_cancellation(state, day, await self._now(state), await self._read.price_book())
        if isinstance(quote, Refused):
            raise RefusedError(quote)
        return quote

    async def upcoming(self, subscription_id: str) -> tuple[Coming, ...]:
        """The next things that will happen if nothing is asked."""
        state = await self._read.existing(subscription_id)
        if state.state.over:
            return ()
        return upcoming(state, await self._now(state), await self._read.price_book())

    async def required_terms(self, subscription_id: str) -> tuple[Term, ...]:
        """The terms of service that an upgrade must agree to now, by the subscription's own clock (R25)."""
        today = day_of(await self._now(await self._read.existing(subscription_id)))
        catalogue = (await self._read.price_book()).in_force(today)
        return required_terms(catalogue) if catalogue else ()

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        return await self._read.certificates(subscription_id)

    async def select(self, selection: Selection, *, after: str = "", limit: int = 50) -> list[Listed]:
        """Those of which all conditions hold, in the order of their ids; the record must know of them all."""
        return await self._read.list(selection, after=after, limit=limit)

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Listed]:
        """Subscriptions in the order of their ids, those after the id `after`."""
        selection = (state_is(state) if state else ()) + (customer_is(customer_id) if customer_id else ())
        return await self.select(selection, after=after, limit=limit)

    async def find(
        self, selection: Selection = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> Found:
        """A page of the subscriptions of which all conditions hold.

        With `query`, in Temporal's visibility query language, of the living ones alone. Raises
        `InvalidQueryError`.
        """
        if query is not None:
            return await self._finder.asked(query, selection, after=after, limit=limit)
        return await self._finder.selected(selection, after=after, limit=limit)

    def clock(self, subscription_id: str) -> TestClock:
        """The subscription's own clock (R33)."""
        return TestClock(self._temporal, WORKFLOW_ID_PREFIX + subscription_id)

    async def _now(self, state: Subscription) -> datetime:
        """The time by the subscription's own clock, and never before what has already happened."""
        if state.state.over:
            return datetime.now(KST)
        now = (await self.clock(state.subscription_id).now()).astimezone(KST)
        return max(now, state.last_at) if state.last_at else now


def _unreadable(what: str, error: ValidationError) -> Refused:
    problems = problems_of(error)
    said = "; ".join(f"{problem.field or 'it'} {problem.message}" for problem in problems)
    return Refused(
        code=Code.INVALID_ARGUMENT,
        message=f"{what} cannot be read: {said}.",
        field=problems[0].field,
        problems=problems,
    )


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
