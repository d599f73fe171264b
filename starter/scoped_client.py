"""Authorization: the client restricted to one customer, or unrestricted for operators.

To a customer, what belongs to another one does not exist: the same question to the database finds nothing,
and the same refusal says so.
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
from subscription.contract import ContractTerm
from subscription.events import Event
from subscription.explain import Explanation
from subscription.forecast import ChangeQuote, Quote, UpcomingEvent
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import Refusal, RefusalCode, refusal
from subscription.request import Account, is_opaque_id
from subscription.state import State
from subscription.status import Status
from subscription.timeline import Answer, ErasureCertificate, RequestAnswer, TimelineEntry

if TYPE_CHECKING:
    from starter.command_rate_limits import CommandRates


class OperatorsOnlyError(Exception):
    """A customer asked for what is the operators' alone."""


class ScopedClient:
    """`SubscriptionClient` for one caller. Its methods are the client's, and raise what the client's do.

    A subscription, invoice or notice of another customer is refused as one that there is not. What only
    operators may do raises `OperatorsOnlyError`. The ids that make requests and commands repeatable are each
    caller's own.
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

    # -- requesting ----------------------------------------------------------------------------------

    async def catalogue(self) -> Catalogue | None:
        """What is sold today, by the real clock; None if nothing is yet."""
        return await self._client.catalogue()

    async def check_name(self, account: Account) -> NameAvailability:
        return await self._client.check_name(account)

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """`data` as the client's; a customer's own `customer_id` is filled in where it is left out."""
        return await self._client.request(self._with_customer(data))

    async def check_request(self, data: Mapping[str, Any]) -> Refusal | None:
        return await self._client.check_request(self._with_customer(data))

    def _with_customer(self, data: Mapping[str, Any]) -> dict[str, Any]:
        theirs = dict(data)
        if self._caller.customer_id is not None:
            if theirs.setdefault("customer_id", self._caller.customer_id) != self._caller.customer_id:
                raise refusal(RefusalCode.REQUEST_REFUSED, "customer_id", reason="NOT_YOURS")
            if isinstance(theirs.get("request_id"), str):
                theirs["request_id"] = self._caller.scoped(theirs["request_id"])
        return theirs

    # -- commands ------------------------------------------------------------------------------------

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        """Any command by its name on the wire, with its fields; `id` and `by` may be among them (R22).

        Raises `TooManyCommandsError` if it is sent too often for its subscription.
        """
        await self._check_owner(subscription_id)
        if self._command_rates is not None:
            await self._command_rates.count(subscription_id, name)
        if isinstance(argument, Mapping) and isinstance(argument.get("id"), str):
            argument = {**argument, "id": self._caller.scoped(argument["id"])}
        return await self._client.command(subscription_id, name, argument)

    async def was_accepted(self, subscription_id: str, command_id: str) -> bool:
        """Whether this caller's command of this id has been accepted, and its answer can be given again."""
        await self._check_owner(subscription_id)
        return await self._client.was_accepted(subscription_id, self._caller.scoped(command_id))

    # -- what was sent before ------------------------------------------------------------------------

    async def has_requested(self, request_id: str) -> bool:
        """Return whether this caller's request of this id was accepted before."""
        return await self._client.has_requested(self._caller.scoped(request_id))

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        self._check_operator()
        return await self._client.has_adjusted(subscription_id, adjustment_id)

    # -- questions about a subscription --------------------------------------------------------------

    async def check_exists(self, subscription_id: str) -> None:
        """Raise `RefusalError` if this caller has no subscription of that id."""
        await self._check_owner(subscription_id)

    async def status(self, subscription_id: str) -> Status:
        await self._check_owner(subscription_id)
        return await self._client.status(subscription_id)

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[TimelineEntry]:
        """What happened, in order, after the event of this number."""
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

    async def standing(self, subscription_id: str) -> CurrentState:
        await self._check_owner(subscription_id)
        return await self._client.standing(subscription_id)

    async def customer_events(self, customer_id: str | None = None, **those: Any) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer; operators name the customer.

        Raises `RefusalError` for a `subscription_id` among `those` that this caller does not have.
        """
        if (subscription_id := those.get("subscription_id")) is not None:
            await self._check_owner(subscription_id)
        own = self._caller.customer_id
        if own is not None and customer_id not in (None, own):
            return []
        whose = own or customer_id
        if whose is None:
            raise refusal(RefusalCode.MISSING_FIELD, "customer_id", reason="CUSTOMER")
        return await self._client.customer_events(whose, **those)

    async def history(self, subscription_id: str) -> list[Event]:
        await self._check_owner(subscription_id)
        return await self._client.history(subscription_id)

    async def account_names(self, listed: Sequence[SubscriptionSummary]) -> dict[str, str]:
        """Of subscriptions that this caller has been given; of others there are none."""
        whose = self._caller.customer_id
        return await self._client.account_names(
            [each.subscription_id for each in listed if whose in (None, each.customer_id)]
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

    # -- what is the operators' alone ----------------------------------------------------------------

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
        """A customer who asks for another's finds none, as there are none for a customer that is not."""
        selection = those + (state_is(state) if state else ())
        if customer_id is not None:
            selection += customer_is(customer_id)
        return await self._client.select(self._with_customer_filter(selection), after=after, limit=limit)

    async def find(
        self, selection: Filters = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> SearchPage:
        """`query` is the operators' alone: it is Temporal's own language, in which much can be said.

        The reasons of attention are for operators, so a customer's page has none.
        """
        if query is not None:
            self._check_operator()
        found = await self._client.find(
            self._with_customer_filter(selection), query=query, after=after, limit=limit
        )
        return found if self._caller.is_operator else found.model_copy(update={"attention": {}})

    async def attention(self, subscription_id: str) -> ShownAttention | None:
        """Return why a subscription needs attention, to operators alone."""
        self._check_operator()
        return await self._client.attention(subscription_id)

    # -- whose it is ---------------------------------------------------------------------------------

    def _with_customer_filter(self, selection: Filters) -> Filters:
        return selection + (customer_is(self._caller.customer_id) if self._caller.customer_id else ())

    def _check_operator(self) -> None:
        if not self._caller.is_operator:
            raise OperatorsOnlyError

    async def _check_owner(self, subscription_id: str) -> None:
        if not is_opaque_id(subscription_id):
            raise no_such_subscription()
        await self._client.check_exists(subscription_id, customer_id=self._caller.customer_id)
