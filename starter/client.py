"""`SubscriptionClient`: the public Python API."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from adapters.command_sender import CommandSender, refusal_in
from adapters.postgres.pool import Pool
from adapters.temporal.client import TASK_QUEUE
from starter.caller import OPERATOR, Caller
from starter.filters import Filters
from starter.queries import SubscriptionQueries
from starter.requests import RequestSubmitter, subscription_id_for
from starter.search import SearchPage, SubscriptionSearch
from starter.subscription_clock import SubscriptionClock
from starter.test_clock_invoices import days_of_job, issue_invoices_as_of, next_run_after
from subscription.account import Account
from subscription.adjustment import Adjustment, AdjustmentRequest
from subscription.bulk import MOST_SUBSCRIPTIONS
from subscription.business_calendar import KST, Instant, day_of
from subscription.catalogue import PriceBook, Term, required_terms
from subscription.commands import Command, Expected, SwitchToPaid, Upgrade, parse_command
from subscription.contract import ContractTerm
from subscription.decide import ExternalFacts
from subscription.due_events import advance
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
from subscription.issuer import Issuer
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.state import Subscription
from subscription.timeline import Answer, RequestAnswer
from subscription.validation import parse_strict, problems_from

if TYPE_CHECKING:
    from starter.bulk import BulkRuns
    from starter.command_rate_limits import CommandRates
    from starter.selection import Selection

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Command)


class CurrentState(Frozen):
    """Input of the rules for a command now: the state after all due deadlines, the time, the prices.

    `members_in_use` is the number that the product has, including the administrator (R36); None if unknown.
    `last_export_at` is shown where a cancellation is confirmed (R37).
    """

    state: Subscription
    now: Instant
    book: PriceBook
    members_in_use: int | None = None
    last_export_at: Instant | None = None

    @property
    def locked_members(self) -> int:
        """Return how many members have no seat: those that were added last (R36)."""
        return max(0, (self.members_in_use or 0) - self.state.members)

    @property
    def expected(self) -> Expected:
        """Return the `Expected` values for a command that the caller confirmed for exactly this state."""
        return Expected(sequence=self.state.sequence, date=day_of(self.now), revision=self.book.revision)


class CancellationQuote(Quote):
    """The quote of a cancellation, with the time of the last complete export; None if never (R37)."""

    last_export_at: Instant | None


class SubscriptionClient(SubscriptionQueries):
    """Subscription requests, commands and queries of one caller: by default an operator.

    Every method raises `RefusalError` if the rules refuse the call, and `OperatorsOnlyError` if a customer
    calls an operation for operators. It raises `RPCError` or `OSError` if a server is unreachable, and
    `RPCTimeoutOrCancelledError` if the connection is lost during the call.

    The IDs for idempotency of requests and commands are scoped to the caller.
    """

    def __init__(
        self,
        temporal: Client,
        pool: Pool,
        *,
        caller: Caller = OPERATOR,
        command_rates: "CommandRates | None" = None,
        issuer: Issuer | None = None,
        task_queue: str = TASK_QUEUE,
    ) -> None:
        super().__init__(pool, caller.customer_id)
        self.caller = caller
        self._temporal = temporal
        self._database = pool
        self._command_rates = command_rates
        self._issuer = issuer
        self._search = SubscriptionSearch(temporal, self)
        self._requests = RequestSubmitter(temporal, self._pool, task_queue)
        self._commands = CommandSender(temporal, self._pool)
        self._task_queue = task_queue

    def for_caller(
        self, caller: Caller, command_rates: "CommandRates | None" = None, issuer: Issuer | None = None
    ) -> "SubscriptionClient":
        """Return a client limited to this caller, with the same connections.

        `issuer` is recorded with the commands and requests of the client, and shown in the timeline.
        """
        return SubscriptionClient(
            self._temporal,
            self._database,
            caller=caller,
            command_rates=command_rates,
            issuer=issuer,
            task_queue=self._task_queue,
        )

    # -- requests (R1-R9) --------------------------------------------------------------------------

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Request a subscription and return when its trial has started (R9).

        `data` has the fields of `Request`; a customer may omit the own `customer_id`. Idempotent: a repeated
        request returns the original answer.
        """
        issuer = {"issuer": self._issuer.model_dump(mode="json")} if self._issuer else {}
        return await self._requests.request(self._with_caller(data) | issuer)

    async def has_requested(self, request_id: str) -> bool:
        """Return whether this caller's request with this ID was accepted before."""
        return await self._exists(subscription_id_for(self.caller.scoped(request_id)))

    async def check_request(self, data: Mapping[str, Any]) -> Refusal | None:
        """Validate a request without submitting it; return the refusal, or None if it is valid now."""
        return await self._requests.check(self._with_caller(data))

    def _with_caller(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a request with the caller's customer ID and the scoped request ID."""
        scoped = dict(data)
        if self.caller.customer_id is not None:
            if scoped.setdefault("customer_id", self.caller.customer_id) != self.caller.customer_id:
                raise refusal(RefusalCode.REQUEST_REFUSED, "customer_id", reason="NOT_YOURS")
            if isinstance(scoped.get("request_id"), str):
                scoped["request_id"] = self.caller.scoped(scoped["request_id"])
        return scoped

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
        """Send a parsed command.

        Raises `TooManyCommandsError` if the rate limit of the command and subscription is exceeded.
        """
        await self._check_scope(subscription_id)
        if self._command_rates is not None:
            await self._command_rates.count(subscription_id, command.name)
        if command.id is not None:
            command = command.model_copy(update={"id": self.caller.scoped(command.id)})
        if self._issuer is not None:
            command = command.model_copy(update=dict(self._issuer.naming(command.by)))
        return await self._commands.send(subscription_id, command)

    async def was_accepted(self, subscription_id: str, command_id: str) -> bool:
        """Return whether this caller's command with this ID returns its original answer (R22).

        Like the workflow, use the subscription's clock: an ID older than the retention counts as new.
        """
        state, at = await self.snapshot_and_acceptance(subscription_id, self.caller.scoped(command_id))
        if at is None:
            return False
        return state.state.is_terminal or await self._now(state) - at < REMEMBERED_FOR

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return when all deadlines due by the subscription's clock (or `at`, if simulated) are processed."""
        await self._check_scope(subscription_id)
        await self._commands.settle(subscription_id, at)

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjust(self, data: Mapping[str, Any]) -> Adjustment:
        """Correct a ledger line with a compensating line; `data` has the fields of `AdjustmentRequest`.

        Also works for ended subscriptions. Idempotent: a repeated call returns the original answer.
        """
        self._check_operator()
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
        recorded = await self.recorded_state(subscription_id)
        now = await self._now(recorded.state)
        return CurrentState(
            state=advance(recorded.state, now, recorded.book),
            now=now,
            book=recorded.book,
            members_in_use=recorded.members_in_use,
            last_export_at=recorded.last_export_at,
        )

    async def quote_cancellation(self, subscription_id: str, day: date) -> CancellationQuote:
        """Quote the cost of canceling on `day`, by the subscription's clock (R28, R33)."""
        state, book, _, last_export_at = await self.recorded_state(subscription_id)
        quote = _not_refused(quote_cancellation(state, day, await self._now(state), book))
        return CancellationQuote(**dict(quote), last_export_at=last_export_at)

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
        recorded = await self.recorded_state(subscription_id)
        now, facts = await self._now(recorded.state), ExternalFacts(members_in_use=recorded.members_in_use)
        return _not_refused(quote_switch(recorded.state, switch, now, recorded.book, facts))

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
        state, book, *_ = await self.recorded_state(subscription_id)
        return _not_refused(quote_upgrade(state, upgrade, await self._now(state), book))

    async def upcoming(self, subscription_id: str) -> tuple[UpcomingEvent, ...]:
        """Return the upcoming events if no further command is sent."""
        state, book, *_ = await self.recorded_state(subscription_id)
        if state.state.is_terminal:
            return ()
        return upcoming(state, await self._now(state), book)

    async def required_terms(self, subscription_id: str) -> tuple[Term, ...]:
        """Return the terms that an upgrade requires now, with texts, by the subscription's clock (R25)."""
        state, book, *_ = await self.recorded_state(subscription_id)
        catalogue = book.in_force(day_of(await self._now(state)))
        return required_terms(await self.with_texts(catalogue)) if catalogue else ()

    async def find(
        self, selection: Filters = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> SearchPage:
        """Return a page of the subscriptions that match all filters.

        `query`, in Temporal's powerful visibility query language, restricts the page to active subscriptions
        and is for operators only. So are the `NeedsAttention` reasons, which the page of a customer lacks.
        Raises `InvalidQueryError`, and `RefusalError` for an unknown value.
        """
        if query is not None:
            self._check_operator()
        await self.check_selection(selection)
        selection = self._with_customer(selection)
        if query is not None:
            return await self._search.by_query(query, selection, after=after, limit=limit)
        page = await self._search.by_filters(selection, after=after, limit=limit)
        return page if self.caller.is_operator else page.model_copy(update={"attention": {}})

    async def select_ids(self, selection: "Selection", *, limit: int) -> Sequence[str]:
        """Return the IDs of the selected subscriptions, at most `limit`, each once. For operators.

        Raises `InvalidQueryError`, and `RefusalError` for an unknown value.
        """
        self._check_operator()
        if selection.ids is not None:
            return list(dict.fromkeys(selection.ids))[:limit]
        filters = selection.filters()
        await self.check_selection(filters)
        return await self._search.ids(filters, query=selection.query, limit=limit)

    def bulk_runs(self, pool: Pool, *, most: int = MOST_SUBSCRIPTIONS) -> "BulkRuns":
        """Return the bulk runs, for operators. `pool` may insert runs; `most` limits the list of a run."""
        from starter.bulk import BulkRuns

        self._check_operator()
        return BulkRuns(self, self._temporal, self._pool, pool, most=most, task_queue=self._task_queue)

    def clock(self, subscription_id: str) -> SubscriptionClock:
        """Return the subscription's clock (R33)."""
        self._check_operator()
        return self._clock(subscription_id)

    async def advance_clock(self, subscription_id: str, target: datetime) -> None:
        """Advance the subscription's test clock (R33)."""
        await self._check_scope(subscription_id)
        await self._clock(subscription_id).advance_to(target)

    async def issue_invoices_between(self, subscription_id: str, begin: datetime, end: datetime) -> int:
        """Issue the customer's invoices of the months that a test clock has passed; return their number.

        An ended subscription has no clock any more, so its last month is invoiced, too. Only the worker of
        the local stack issues them; another one raises `RefusalError` (`NO_TEST_CLOCK`).
        """
        state = await self.snapshot(subscription_id)
        if state.state.is_terminal and state.last_at is not None:
            end = max(end, next_run_after(state.last_at))
        return sum(
            [
                await issue_invoices_as_of(self._temporal, self._task_queue, state.customer_id, day)
                for day in days_of_job(begin, end)
            ]
        )

    def _clock(self, subscription_id: str) -> SubscriptionClock:
        return SubscriptionClock(self._temporal, WORKFLOW_ID_PREFIX + subscription_id)

    async def _check_scope(self, subscription_id: str) -> None:
        """Raise `RefusalError` unless the caller may use the workflow of this subscription.

        For operators, Temporal itself reports a missing workflow.
        """
        if not self.caller.is_operator:
            await self.check_exists(subscription_id)

    async def _now(self, state: Subscription) -> datetime:
        """Return the time of the subscription's clock, but at least the time of its last event."""
        if state.state.is_terminal:
            return datetime.now(KST)
        now = (await self._clock(state.subscription_id).now()).astimezone(KST)
        return max(now, state.last_at) if state.last_at else now


def _not_refused(result: T | Refusal) -> T:
    if isinstance(result, Refusal):
        raise RefusalError(result)
    return result


def _invalid_argument(error: ValidationError) -> Refusal:
    return Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error))


def _command(name: str, argument: Mapping[str, Any], kind: type[CommandT]) -> CommandT:
    command = _not_refused(parse_command(name, argument))
    assert isinstance(command, kind)
    return command


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
