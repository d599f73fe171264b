"""`SubscriptionClient`: the public Python API."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from adapters.postgres.pool import Pool
from adapters.temporal.client import TASK_QUEUE
from starter.commands import CommandSender, refusal_in
from starter.filters import Filters
from starter.queries import SubscriptionQueries
from starter.requests import RequestSubmitter, subscription_id_for
from starter.search import SearchPage, SubscriptionSearch
from starter.subscription_clock import SubscriptionClock
from subscription.adjustment import Adjustment, AdjustmentRequest
from subscription.business_calendar import KST, Instant, day_of
from subscription.catalogue import PriceBook, Term, required_terms
from subscription.commands import Command, Expected, SwitchToPaid, Upgrade, parse_command
from subscription.contract import ContractTerm
from subscription.deadlines import advance
from subscription.forecast import (
    ChangeQuote,
    Quote,
    UpcomingEvent,
    quote_cancellation,
    quote_switch,
    quote_upgrade,
    upcoming,
)
from subscription.idempotency import REMEMBERED_FOR
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.request import Account
from subscription.state import Subscription
from subscription.timeline import Answer, RequestAnswer
from subscription.validation import parse_strict, problems_from

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Command)


class CurrentState(Frozen):
    """Input of the rules for a command now: the state after all due deadlines, the time, the prices."""

    state: Subscription
    now: Instant
    book: PriceBook

    @property
    def expected(self) -> Expected:
        """Return the `Expected` values for a command that the caller confirmed for exactly this state."""
        return Expected(sequence=self.state.sequence, date=day_of(self.now), revision=self.book.revision)


class SubscriptionClient(SubscriptionQueries):
    """Subscription requests, commands and queries.

    Every method raises `RefusalError` if the rules refuse the call. It raises `RPCError` or `OSError` if a
    server is unreachable, and `RPCTimeoutOrCancelledError` if the connection is lost during the call.
    """

    def __init__(self, temporal: Client, pool: Pool, *, task_queue: str = TASK_QUEUE) -> None:
        super().__init__(pool)
        self._temporal = temporal
        self._search = SubscriptionSearch(temporal, self._read)
        self._requests = RequestSubmitter(temporal, self._read, task_queue)
        self._commands = CommandSender(temporal, self._read)
        self._task_queue = task_queue

    # -- requests (R1-R9) --------------------------------------------------------------------------

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Request a subscription and return when its trial has started (R9).

        `data` has the fields of `Request`. Idempotent: a repeated request returns the original answer.
        """
        return await self._requests.request(data)

    async def has_requested(self, request_id: str) -> bool:
        """Return whether a request with this ID was accepted before."""
        return await self._read.exists(subscription_id_for(request_id), None)

    async def check_request(self, data: Mapping[str, Any]) -> Refusal | None:
        """Validate a request without submitting it; return the refusal, or None if it is valid now."""
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
        """Send any command by its wire name. The fields may include `id`, `by` and `at` (R22)."""
        return await self.send(subscription_id, _not_refused(parse_command(name, argument)))

    async def send(self, subscription_id: str, command: Command) -> Answer:
        """Send a parsed command."""
        return await self._commands.send(subscription_id, command)

    async def was_accepted(self, subscription_id: str, command_id: str) -> bool:
        """Return whether a command with this ID was accepted, so that it returns its original answer (R22).

        Like the workflow, use the subscription's clock: an ID older than the retention counts as new.
        """
        at = await self._read.accepted_at(subscription_id, command_id)
        if at is None:
            return False
        state = await self._read.get_snapshot(subscription_id)
        return state.state.is_terminal or await self._now(state) - at < REMEMBERED_FOR

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return when all deadlines due by the subscription's clock (or `at`, if simulated) are processed."""
        await self._commands.settle(subscription_id, at)

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjust(self, data: Mapping[str, Any]) -> Adjustment:
        """Correct a ledger line with a compensating line; `data` has the fields of `AdjustmentRequest`.

        Also works for ended subscriptions. Idempotent: a repeated call returns the original answer.
        """
        try:
            request = parse_strict(AdjustmentRequest, dict(data))
        except ValidationError as error:
            raise RefusalError(_invalid_argument(error)) from None
        try:
            adjustment: Adjustment = await self._temporal.execute_workflow(
                "AdjustmentWorkflow",
                request,
                id=f"adjustment-{request.subscription_id}-{request.id}",
                task_queue=self._task_queue,
                result_type=Adjustment,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{request.reason} {request.reference}: {request.amount:,} KRW",
            )
        except WorkflowFailureError as error:
            raise RefusalError(refusal_in(error)) from None
        return adjustment

    # -- queries -------------------------------------------------------------------------------------

    async def current_state(self, subscription_id: str) -> CurrentState:
        """Return the current state by the subscription's clock (R33), as input for the rules."""
        state, book = await self._read.get_snapshot(subscription_id), await self._read.price_book()
        now = await self._now(state)
        return CurrentState(state=advance(state, now, book), now=now, book=book)

    async def quote_cancellation(self, subscription_id: str, day: date) -> Quote:
        """Quote the cost of canceling on `day`, by the subscription's clock (R28, R33)."""
        state = await self._read.get_snapshot(subscription_id)
        book = await self._read.price_book()
        return _not_refused(quote_cancellation(state, day, await self._now(state), book))

    async def quote_switch(
        self,
        subscription_id: str,
        day: date,
        term: ContractTerm | None,
        *,
        plan: str | None = None,
        members: int | None = None,
    ) -> ChangeQuote:
        """Quote the cost of this switch to paid, by the subscription's clock (R16, R33)."""
        argument = {"date": day.isoformat(), "term": term, "plan": plan, "members": members}
        switch = _command("switch_to_paid", _given(argument), SwitchToPaid)
        state = await self._read.get_snapshot(subscription_id)
        book = await self._read.price_book()
        return _not_refused(quote_switch(state, switch, await self._now(state), book))

    async def quote_upgrade(
        self,
        subscription_id: str,
        *,
        plan: str | None = None,
        members: int | None = None,
        term: ContractTerm | None = None,
    ) -> ChangeQuote:
        """Quote the cost of this upgrade now, by the subscription's clock (R25, R33)."""
        argument = {"plan": plan, "members": members, "term": term}
        upgrade = _command("upgrade", {**_given(argument), "agreed_terms": []}, Upgrade)
        state = await self._read.get_snapshot(subscription_id)
        book = await self._read.price_book()
        return _not_refused(quote_upgrade(state, upgrade, await self._now(state), book))

    async def upcoming(self, subscription_id: str) -> tuple[UpcomingEvent, ...]:
        """Return the upcoming events if no further command is sent."""
        state = await self._read.get_snapshot(subscription_id)
        if state.state.is_terminal:
            return ()
        return upcoming(state, await self._now(state), await self._read.price_book())

    async def required_terms(self, subscription_id: str) -> tuple[Term, ...]:
        """Return the terms of service that an upgrade requires now, by the subscription's clock (R25)."""
        today = day_of(await self._now(await self._read.get_snapshot(subscription_id)))
        catalogue = (await self._read.price_book()).in_force(today)
        return required_terms(catalogue) if catalogue else ()

    async def find(
        self, selection: Filters = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> SearchPage:
        """Return a page of the subscriptions that match all filters.

        `query`, in Temporal's visibility query language, restricts the page to active subscriptions. Raises
        `InvalidQueryError`, and `RefusalError` for an unknown value.
        """
        await self.check_selection(selection)
        if query is not None:
            return await self._search.by_query(query, selection, after=after, limit=limit)
        return await self._search.by_filters(selection, after=after, limit=limit)

    def clock(self, subscription_id: str) -> SubscriptionClock:
        """Return the subscription's clock (R33)."""
        return SubscriptionClock(self._temporal, WORKFLOW_ID_PREFIX + subscription_id)

    async def _now(self, state: Subscription) -> datetime:
        """Return the time of the subscription's clock, but at least the time of its last event."""
        if state.state.is_terminal:
            return datetime.now(KST)
        now = (await self.clock(state.subscription_id).now()).astimezone(KST)
        return max(now, state.last_at) if state.last_at else now


def _not_refused(result: T | Refusal) -> T:
    if isinstance(result, Refusal):
        raise RefusalError(result)
    return result


def _invalid_argument(error: ValidationError) -> Refusal:
    return Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error), whole="the argument")


def _command(name: str, argument: Mapping[str, Any], kind: type[CommandT]) -> CommandT:
    command = _not_refused(parse_command(name, argument))
    assert isinstance(command, kind)
    return command


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
