"""Cost by month of a command that is only tried, by the same rules as the command itself (R28)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime

from subscription.apply import apply_all
from subscription.business_calendar import Day, day_of, first_of_month, first_of_next_month, start_of
from subscription.catalogue import PriceBook
from subscription.commands import Command
from subscription.decide import NO_FACTS, ExternalFacts, decide
from subscription.due_events import due_events, is_within_horizon
from subscription.events import Event
from subscription.forecast import TOO_FAR_AHEAD, future_events
from subscription.invoice import vat_on
from subscription.ledger import LedgerLine, LineKind
from subscription.model import Frozen
from subscription.refusals import Refusal
from subscription.state import Subscription
from subscription.vat_estimate import invoice_month, invoice_policy

MONTHS = 13
"""Months of a result, from the current one: a whole year after the current month."""


class MonthCost(Frozen):
    """The cost of a calendar month, in KRW before VAT.

    `service_fees` are for the days of the month. `penalty` is the early-termination charge of a cancellation
    in the month (R30). `vat` is the tax on both.
    """

    month: Day
    service_fees: int
    penalty: int
    vat: int

    @property
    def total(self) -> int:
        return self.service_fees + self.penalty


def cost_by_month(
    state: Subscription,
    command: Command | None,
    day: date,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> tuple[MonthCost, ...] | Refusal:
    """Return the cost of each month if this command is sent on `day`, and no other command at any time.

    Without a command, nothing is sent. A day in the past means now. The refusal is that of the command.
    """
    moment = max(now, start_of(day))
    if not is_within_horizon(state, moment):
        return TOO_FAR_AHEAD
    due = due_events(state, moment, book)
    state = apply_all(state, due)
    events: tuple[Event, ...] = ()
    if command is not None:
        decision = decide(state, command, moment, book, facts)
        if isinstance(decision, Refusal):
            return decision
        events = decision.events
    months = list(_months(day_of(now)))
    end = start_of(first_of_next_month(months[-1]))
    coming = _until(end, apply_all(state, events), book)
    return _by_month(months, (line for event in (*due, *events, *coming) for line in event.lines), book)


def _months(today: date) -> Iterator[date]:
    month = first_of_month(today)
    for _ in range(MONTHS):
        yield month
        month = first_of_next_month(month)


def _until(end: datetime, state: Subscription, book: PriceBook) -> Iterator[Event]:
    """Yield the future events up to `end`, at which the service fees of the last month are posted."""
    for event, _ in future_events(state, book):
        if event.at > end:
            return
        yield event


def _by_month(months: Iterable[date], lines: Iterable[LedgerLine], book: PriceBook) -> tuple[MonthCost, ...]:
    fees, penalties = Counter[date](), Counter[date]()
    for line in lines:
        amounts = fees if line.kind is LineKind.SERVICE_FEE else penalties
        amounts[invoice_month(line)] += line.amount
    return tuple(
        MonthCost(
            month=month,
            service_fees=fees[month],
            penalty=penalties[month],
            vat=vat_on(fees[month] + penalties[month], invoice_policy(month, book).vat_percent),
        )
        for month in months
    )
