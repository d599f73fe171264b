"""Authorization: the client restricted to one customer, or unrestricted for operators.

A customer cannot distinguish another customer's data from missing data: every query filters by customer ID,
and the error is the same.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from starter.caller import Caller
from starter.client import CurrentState, SubscriptionClient
from starter.filters import Filters, customer_is, state_is
from starter.queries import NameAvailability
from starter.read_model import SubscriptionSummary, no_such_subscription
from starter.search import SearchPage
from starter.subscription_clock import SubscriptionClock
from subscription.activity_contracts import CustomerEvent
from subscription.adjustment import Adjustment
from subscription.attention import ShownAttention
from subscription.catalogue import Catalogue, PriceBook, Term
from subscription.commands import Command, parse_command
from subscription.contract import ContractTerm
from subscription.events import Event
from subscription.explain import Explanation
from subscription.forecast import ChangeQuote, Quote, UpcomingEvent
from subscription.ids import is_opaque_id
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import Account
from subscription.state import State
from subscription.status import Status
from subscription.timeline import Answer, ErasureCertificate, RequestAnswer, TimelineEntry

if TYPE_CHECKING:
    from starter.command_rate_limits import CommandRates


class OperatorsOnlyError(Exception):
    """Authorization failed: a customer called an operation for operators only."""


class ScopedClient:
    """`SubscriptionClient` with authorization for one caller.

    The methods and their errors are those of the client. A subscription, invoice or notice of another
    customer raises the same refusal as a missing one. Operations for operators only raise
    `OperatorsOnlyError`. The IDs for idempotency of requests and commands are scoped to the caller.
    """

    def __init__(
        self, client: SubscriptionClient, caller: Caller, command_rates: "CommandRates | None" = None
    ) -> None:
        self._client = client
        self._caller = caller
        self._command_rates = command_rates

    @property
    def caller(self) -> Caller:
        return self._caller

    # -- requests ------------------------------------------------------------------------------------

    async def catalogue(self) -> Catalogue | None:
        """Return the catalogue on sale today, by the real clock; None if none is in force yet."""
        return await self._client.catalogue()

    async def check_name(self, account: Account) -> NameAvailability:
        return await self._client.check_name(account)

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Request a subscription as in `SubscriptionClient`; a customer may omit the own `customer_id`."""
        return await self._client.request(self._with_customer(data))

    async def check_request(self, data: Mapping[str, Any]) -> Refusal | None:
        return await self._client.check_request(self._with_customer(data))

    def _with_customer(self, data: Mapping[str, Any]) -> dict[str, Any]:
        scoped = dict(data)
        if self._caller.customer_id is not None:
            if scoped.setdefault("customer_id", self._caller.customer_id) != self._caller.customer_id:
                raise refusal(RefusalCode.REQUEST_REFUSED, "customer_id", reason="NOT_YOURS")
            if isinstance(scoped.get("request_id"), str):
                scoped["request_id"] = self._caller.scoped(scoped["request_id"])
        return scoped

    # -- commands ------------------------------------------------------------------------------------

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        """Send any command by its wire name. The fields may include `id` and `by` (R22).

        Raises `TooManyCommandsError` if the rate limit of the command and subscription is exceeded.
        """
        command = parse_command(name, argument)
        if isinstance(command, Refusal):
            await self._check_owner(subscription_id)
            raise RefusalError(command)
        return await self.send(subscription_id, command)

    async def send(self, subscription_id: str, command: Command) -> Answer:
        """Send a parsed command, as `command` does."""
        await self._check_owner(subscription_id)
        if self._command_rates is not None:
            await self._command_rates.count(subscription_id, command.name)
        if command.id is not None:
            command = command.model_copy(update={"id": self._caller.scoped(command.id)})
        return await self._client.send(subscription_id, command)

    async def was_accepted(self, subscription_id: str, command_id: str) -> bool:
        """Return whether this caller's command with this ID was accepted and its answer is still stored."""
        await self._check_owner(subscription_id)
        return await self._client.was_accepted(subscription_id, self._caller.scoped(command_id))

    # -- idempotency ---------------------------------------------------------------------------------

    async def has_requested(self, request_id: str) -> bool:
        """Return whether this caller's request with this ID was accepted before."""
        return await self._client.has_requested(self._caller.scoped(request_id))

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        self._check_operator()
        return await self._client.has_adjusted(subscription_id, adjustment_id)

    # -- queries about a subscription ----------------------------------------------------------------

    async def check_exists(self, subscription_id: str) -> None:
        """Raise `RefusalError` if this caller has no subscription with this ID."""
        await self._check_owner(subscription_id)

    async def status(self, subscription_id: str) -> Status:
        await self._check_owner(subscription_id)
        return await self._client.status(subscription_id)

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[TimelineEntry]:
        """Return the timeline entries after the event with the number `after`, in order."""
        await self._check_owner(subscription_id)
        return await self._client.timeline(subscription_id, after=after, limit=limit)

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        await self._check_owner(subscription_id)
        return await self._client.ledger(subscription_id)

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        await self._check_owner(subscription_id)
        return await self._client.explain(subscription_id, key)

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        await self._check_owner(subscription_id)
        return await self._client.adjustments(subscription_id)

    async def upcoming(self, subscription_id: str) -> tuple[UpcomingEvent, ...]:
        await self._check_owner(subscription_id)
        return await self._client.upcoming(subscription_id)

    async def quote_cancellation(self, subscription_id: str, day: date) -> Quote:
        await self._check_owner(subscription_id)
        return await self._client.quote_cancellation(subscription_id, day)

    async def quote_switch(
        self,
        subscription_id: str,
        day: date,
        term: ContractTerm | None,
        *,
        plan: str | None = None,
        members: int | None = None,
    ) -> ChangeQuote:
        await self._check_owner(subscription_id)
        return await self._client.quote_switch(subscription_id, day, term, plan=plan, members=members)

    async def quote_upgrade(
        self,
        subscription_id: str,
        *,
        plan: str | None = None,
        members: int | None = None,
        term: ContractTerm | None = None,
    ) -> ChangeQuote:
        await self._check_owner(subscription_id)
        return await self._client.quote_upgrade(subscription_id, plan=plan, members=members, term=term)

    async def required_terms(self, subscription_id: str) -> tuple[Term, ...]:
        await self._check_owner(subscription_id)
        return await self._client.required_terms(subscription_id)

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        await self._check_owner(subscription_id)
        return await self._client.certificates(subscription_id)

    async def current_state(self, subscription_id: str) -> CurrentState:
        await self._check_owner(subscription_id)
        return await self._client.current_state(subscription_id)

    async def customer_events(self, customer_id: str | None = None, **filters: Any) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer; operators must name the customer.

        Raises `RefusalError` if a `subscription_id` in `filters` does not belong to this caller.
        """
        if (subscription_id := filters.get("subscription_id")) is not None:
            await self._check_owner(subscription_id)
        own = self._caller.customer_id
        if own is not None and customer_id not in (None, own):
            return []
        owner = own or customer_id
        if owner is None:
            raise refusal(RefusalCode.MISSING_FIELD, "customer_id", reason="CUSTOMER")
        return await self._client.customer_events(owner, **filters)

    async def history(self, subscription_id: str) -> list[Event]:
        await self._check_owner(subscription_id)
        return await self._client.history(subscription_id)

    async def account_names(self, listed: Sequence[SubscriptionSummary]) -> dict[str, str]:
        """Return the account names of those listed subscriptions that this caller may access."""
        own = self._caller.customer_id
        return await self._client.account_names(
            [summary.subscription_id for summary in listed if own in (None, summary.customer_id)]
        )

    async def price_book(self) -> PriceBook:
        return await self._client.price_book()

    async def settle(self, subscription_id: str) -> None:
        await self._check_owner(subscription_id)
        await self._client.settle(subscription_id)

    async def clock(self, subscription_id: str) -> SubscriptionClock:
        await self._check_owner(subscription_id)
        return self._client.clock(subscription_id)

    # -- invoices and notices ------------------------------------------------------------------------

    async def invoice(self, number: str) -> Invoice:
        return await self._client.invoice(number, customer_id=self._caller.customer_id)

    async def invoices(
        self,
        *,
        customer_id: str | None = None,
        month: date | None = None,
        kind: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Invoice]:
        own = self._caller.customer_id
        if own and customer_id not in (None, own):
            return []
        return await self._client.invoices(
            customer_id=own or customer_id, month=month, kind=kind, after=after, limit=limit
        )

    async def notice(self, number: int) -> OutboxNotice:
        return await self._client.notice(number, customer_id=self._caller.customer_id)

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        kind: NoticeKind | None = None,
        subscription_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        if subscription_id is not None:
            await self._check_owner(subscription_id)
        return await self._client.notices(
            state=state,
            kind=kind,
            subscription_id=subscription_id,
            customer_id=self._caller.customer_id,
            after=after,
            limit=limit,
        )

    # -- operators only ------------------------------------------------------------------------------

    async def adjust(self, data: Mapping[str, Any]) -> Adjustment:
        self._check_operator()
        return await self._client.adjust(data)

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        self._check_operator()
        return await self._client.reconciliation(run)

    async def findings(self, run: str, *, skip: int = 0, limit: int = 1000) -> list[ReportedFinding]:
        self._check_operator()
        return await self._client.findings(run, skip=skip, limit=limit)

    # -- lists ---------------------------------------------------------------------------------------

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        those: Filters = (),
        after: str = "",
        limit: int = 50,
    ) -> list[SubscriptionSummary]:
        """List subscriptions. A customer gets an empty list for another customer's ID or an unknown ID."""
        selection = those + (state_is(state) if state else ())
        if customer_id is not None:
            selection += customer_is(customer_id)
        return await self._client.select(self._with_customer_filter(selection), after=after, limit=limit)

    async def find(
        self, selection: Filters = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> SearchPage:
        """Search subscriptions. Only operators may use `query`, Temporal's powerful query language.

        The `NeedsAttention` reasons are for operators, so the page of a customer has none.
        """
        if query is not None:
            self._check_operator()
        page = await self._client.find(
            self._with_customer_filter(selection), query=query, after=after, limit=limit
        )
        return page if self._caller.is_operator else page.model_copy(update={"attention": {}})

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention. Operators only."""
        self._check_operator()
        return await self._client.attention(subscription_id)

    # -- ownership checks ----------------------------------------------------------------------------

    def _with_customer_filter(self, selection: Filters) -> Filters:
        return selection + (customer_is(self._caller.customer_id) if self._caller.customer_id else ())

    def _check_operator(self) -> None:
        if not self._caller.is_operator:
            raise OperatorsOnlyError

    async def _check_owner(self, subscription_id: str) -> None:
        if not is_opaque_id(subscription_id):
            raise no_such_subscription()
        await self._client.check_exists(subscription_id, customer_id=self._caller.customer_id)
