"""Effects of a new catalogue version on existing subscriptions, before it is published (R19, R35).

A preview runs the rules forward on a copy of each state, with the published price book and with the price
book that also has the new version. Both runs are one until an event differs between them.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, NamedTuple

from pydantic import Field

from subscription.apply import apply
from subscription.business_calendar import Day, Instant, add_months, day_of, first_of_month, start_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.contract import Contract
from subscription.deadlines import next_deadline
from subscription.due_events import deadline_event
from subscription.events import ContractRenewed, Event, SwitchedToPaid
from subscription.ledger import LedgerLine, LineKind
from subscription.model import Frozen
from subscription.price_rises import price_before
from subscription.state import ReservedSwitch, State, Subscription

MONTHS = 13
"""Length of a preview. Every annual contract is renewed once within it."""

MOST_LISTED = 20
"""Number of subscriptions that a summary lists."""

_BEGINS_CONTRACT = (SwitchedToPaid, ContractRenewed)
_PREVIEW_ID_LENGTH = 16


class PreviewPeriod(NamedTuple):
    """The price books that a preview compares, from `as_of` up to and including the start of `until`.

    `as_of` is the day on which `newer` would be published; with `is_published` it is published already.
    """

    published: PriceBook
    newer: Catalogue
    as_of: date
    is_published: bool = False

    @property
    def extended(self) -> PriceBook:
        return self.published.with_versions([self.newer])

    @property
    def until(self) -> date:
        return add_months(self.as_of, MONTHS)


class ChangedLine(Frozen):
    """A ledger line whose amount differs. `before` or `after` is 0 if only the other run posts it."""

    key: str
    kind: LineKind
    first_day: Annotated[Day, Field(alias="from")]
    end_day: Annotated[Day, Field(alias="to")]
    plan: str
    members: int
    effective_at: Instant
    before: int
    after: int


class RiseNotice(Frozen):
    """The email about a price rise on `event_date`, due `threshold_days` before it or at its announcement."""

    due_on: Day
    threshold_days: int
    event_date: Day


class CostChange(Frozen):
    """The first day with another charge, and the costs of a whole month from that day on."""

    date: Day
    monthly_before: int
    monthly_after: int


class SubscriptionEffect(Frozen):
    """The effects of the new version on one subscription, in KRW before VAT.

    `before` and `after` are the charges of the whole preview with the published versions and with the new
    one. `change` is the first one; None if only the plan is no longer sold. `withdrawn_plans` are the plans
    of the subscription, of its reservation and of its renewal option that the new version does not sell.
    `notices` are the emails about higher prices.
    """

    subscription_id: str
    customer_id: str
    state: State
    plan: str
    members: int
    before: int
    after: int
    change: CostChange | None
    withdrawn_plans: tuple[str, ...] = ()
    notices: tuple[RiseNotice, ...] = ()
    lines: tuple[ChangedLine, ...] = ()

    @property
    def difference(self) -> int:
        return self.after - self.before

    @property
    def direction(self) -> int:
        """Return a number above 0 if the subscription pays more, also if only after the preview."""
        if self.difference or self.change is None:
            return self.difference
        return self.change.monthly_after - self.change.monthly_before


class PlanMonth(Frozen):
    """The charges of all subscriptions on a plan in a month, by the month of their invoice."""

    month: Day
    plan: str
    before: int
    after: int


class NoticeCount(Frozen):
    """The number of emails about price rises that are due on a day."""

    due_on: Day
    threshold_days: int
    notices: int


class PreviewSummary(Frozen):
    """The effects on all subscriptions. `preview` identifies what was previewed: see `preview_id`."""

    preview: str
    version: str
    is_published: bool
    effective_from: Day
    announced_on: Day
    as_of: Day
    until: Day
    subscriptions: int
    paying_more: int
    paying_less: int
    on_withdrawn_plans: int
    before: int
    after: int
    by_plan_and_month: tuple[PlanMonth, ...]
    notices: tuple[NoticeCount, ...]
    largest_rises: tuple[SubscriptionEffect, ...]
    """The largest differences of the whole preview, without the lines."""


def preview_id(published: PriceBook, newer: Catalogue) -> str:
    """Return a hash of a new version, with its texts, and of all published versions.

    The texts of published versions are not part of it, because they cost nothing.
    """
    content = [version.without_texts().model_dump_json() for version in published.versions]
    digest = hashlib.sha256("\n".join([*content, newer.model_dump_json()]).encode())
    return digest.hexdigest()[:_PREVIEW_ID_LENGTH]


def period_of(book: PriceBook, newer: Catalogue, as_of: date) -> PreviewPeriod:
    """Return the period of a preview. A published version is compared with the versions before it."""
    priced = newer.without_texts()
    if priced not in book.versions:
        return PreviewPeriod(book, newer, as_of)
    earlier = book.versions[: book.versions.index(priced)]
    return PreviewPeriod(PriceBook(versions=earlier), newer, as_of, is_published=True)


class CataloguePreview:
    """Collects the effects on all subscriptions. Its size does not depend on their number."""

    def __init__(self, period: PreviewPeriod) -> None:
        self._period = period
        self._extended = period.extended
        self._end = start_of(period.until)
        self._withdrawn = _withdrawn_plans(period)
        self._unchanged_plans = _unchanged_plans(period)
        self._subscriptions = self._more = self._less = self._on_withdrawn = 0
        self._before: Counter[tuple[date, str]] = Counter()
        self._after: Counter[tuple[date, str]] = Counter()
        self._notices: Counter[tuple[date, int]] = Counter()
        self._largest: list[tuple[int, int, SubscriptionEffect]] = []

    def add(self, state: Subscription) -> SubscriptionEffect | None:
        """Add a subscription; return the effect on it, or None if there is none."""
        runs = self._run(self._advanced(state))
        shared, before, after = [list(_lines(steps)) for steps in runs]
        self._subscriptions += 1
        for sums, own in ((self._before, before), (self._after, after)):
            _add_amounts(sums, shared)
            _add_amounts(sums, own)
        withdrawn = _plans_of(state) & self._withdrawn
        lines = tuple(_changed_lines(before, after))
        change = _cost_change(runs, lines)
        if change is None and not withdrawn:
            return None
        effect = SubscriptionEffect(
            subscription_id=state.subscription_id,
            customer_id=state.customer_id,
            state=state.state,
            plan=state.plan,
            members=state.members,
            before=sum(line.amount for line in (*shared, *before)),
            after=sum(line.amount for line in (*shared, *after)),
            change=change,
            withdrawn_plans=tuple(sorted(withdrawn)),
            notices=tuple(self._rise_notices(runs)),
            lines=lines,
        )
        self._count(effect)
        return effect

    def summary(self) -> PreviewSummary:
        period = self._period
        largest = sorted(self._largest, key=lambda entry: (-entry[0], entry[1]))
        return PreviewSummary(
            preview=preview_id(period.published, period.newer),
            version=period.newer.version,
            is_published=period.is_published,
            effective_from=period.newer.effective_from,
            announced_on=period.newer.announcement_day,
            as_of=period.as_of,
            until=period.until,
            subscriptions=self._subscriptions,
            paying_more=self._more,
            paying_less=self._less,
            on_withdrawn_plans=self._on_withdrawn,
            before=self._before.total(),
            after=self._after.total(),
            by_plan_and_month=tuple(
                PlanMonth(
                    month=month, plan=plan, before=self._before[month, plan], after=self._after[month, plan]
                )
                for month, plan in sorted(self._before.keys() | self._after.keys())
            ),
            notices=tuple(
                NoticeCount(due_on=day, threshold_days=days, notices=number)
                for (day, days), number in sorted(self._notices.items())
            ),
            largest_rises=tuple(effect for _, _, effect in largest),
        )

    def _advanced(self, state: Subscription) -> Subscription:
        """Return the state before `as_of`, up to which only published versions count."""
        start = start_of(self._period.as_of)
        while (deadline := next_deadline(state)) and deadline.at < start:
            state = apply(state, deadline_event(state, deadline, self._period.published))
        return state

    def _run(self, state: Subscription) -> "_Runs":
        published, extended = self._period.published, self._extended
        shared: list[_Step] = []
        while (deadline := next_deadline(state)) and deadline.at <= self._end:
            event = deadline_event(state, deadline, extended)
            if isinstance(event, _BEGINS_CONTRACT) and self._may_differ(event):
                other = deadline_event(state, deadline, published)
                if _contract_terms(event) != _contract_terms(other):
                    return _Runs(
                        shared,
                        [_Step(state, other), *_steps(apply(state, other), published, self._end)],
                        [_Step(state, event), *_steps(apply(state, event), extended, self._end)],
                    )
            shared.append(_Step(state, event))
            state = apply(state, event)
        return _Runs(shared, [], [])

    def _may_differ(self, begun: SwitchedToPaid | ContractRenewed) -> bool:
        """Return False for a contract that begins on the same terms with the published versions alone.

        This saves a calculation: a plan with the prices of the last published version costs the same.
        """
        rate = begun.rate
        return rate.first_day >= self._period.newer.effective_from and rate.plan not in self._unchanged_plans

    def _rise_notices(self, runs: "_Runs") -> Iterator[RiseNotice]:
        """Yield the emails about prices that only the new version raises, on the days when they are due."""
        first_day = max(self._period.as_of, self._period.newer.announcement_day)
        days = self._extended.notice_policy.price_rise_days
        for step in runs.extended:
            if isinstance(step.event, _BEGINS_CONTRACT):
                rate = step.event.rate
                if rate.price > price_before(step.before, rate, self._extended):
                    yield from _notices_before(rate.first_day, first_day, days)

    def _count(self, effect: SubscriptionEffect) -> None:
        self._more += effect.direction > 0
        self._less += effect.direction < 0
        self._on_withdrawn += bool(effect.withdrawn_plans)
        for notice in effect.notices:
            self._notices[notice.due_on, notice.threshold_days] += 1
        if effect.difference > 0:
            # Of equal rises, the subscription that was added first is listed.
            entry = effect.difference, -self._subscriptions, effect.model_copy(update={"lines": ()})
            push = heapq.heappush if len(self._largest) < MOST_LISTED else heapq.heappushpop
            push(self._largest, entry)


class _Step(NamedTuple):
    """A future event, and the state before it."""

    before: Subscription
    event: Event


class _Runs(NamedTuple):
    """The future events, shared up to the first one that differs between the two price books."""

    shared: list[_Step]
    published: list[_Step]
    extended: list[_Step]


def _steps(state: Subscription, book: PriceBook, end: datetime) -> Iterator[_Step]:
    while (deadline := next_deadline(state)) and deadline.at <= end:
        event = deadline_event(state, deadline, book)
        yield _Step(state, event)
        state = apply(state, event)


def _contract_terms(event: Event) -> tuple[int, int, Contract]:
    """Return the terms of the contract that the event begins, without the origins of its prices."""
    assert isinstance(event, _BEGINS_CONTRACT)
    return event.rate.list_price, event.rate.annual_price, event.contract


def _lines(steps: Iterable[_Step]) -> Iterator[LedgerLine]:
    return (line for step in steps for line in step.event.lines)


def _changed_lines(before: Iterable[LedgerLine], after: Iterable[LedgerLine]) -> Iterator[ChangedLine]:
    """Yield the lines whose days or amount differ, in the order of their keys' days."""
    lines_before, lines_after = ({line.key: line for line in lines} for lines in (before, after))
    for key in sorted(lines_before.keys() | lines_after.keys()):
        old, new = lines_before.get(key), lines_after.get(key)
        line = new or old
        assert line is not None
        if old is None or new is None or (old.end_day, old.amount) != (new.end_day, new.amount):
            yield ChangedLine(
                key=line.key,
                kind=line.kind,
                first_day=line.first_day,
                end_day=line.end_day,
                plan=line.plan,
                members=line.members,
                effective_at=line.effective_at,
                before=old.amount if old else 0,
                after=new.amount if new else 0,
            )


def _cost_change(runs: _Runs, lines: Sequence[ChangedLine]) -> CostChange | None:
    if not runs.extended:
        return None
    old, new = runs.published[0].event, runs.extended[0].event
    assert isinstance(old, _BEGINS_CONTRACT)
    assert isinstance(new, _BEGINS_CONTRACT)
    first_day = new.rate.first_day
    if old.rate.price == new.rate.price:  # only a charge for leaving early differs, or nothing
        if not lines:
            return None
        first_day = min(day_of(line.effective_at) for line in lines)
    return CostChange(date=first_day, monthly_before=old.rate.monthly, monthly_after=new.rate.monthly)


def _notices_before(event_date: date, first_day: date, threshold_days: Iterable[int]) -> Iterator[RiseNotice]:
    """Yield the notices of an event from `first_day` on, each until the next one replaces it."""
    for days, next_days in pairwise((*sorted(threshold_days, reverse=True), 0)):
        due_on = max(event_date - timedelta(days=days), first_day)
        if due_on < event_date - timedelta(days=next_days):
            yield RiseNotice(due_on=due_on, threshold_days=days, event_date=event_date)


def _withdrawn_plans(period: PreviewPeriod) -> frozenset[str]:
    """Return the plans on sale until the new version."""
    sold = period.published.in_force(period.newer.effective_from)
    return frozenset(sold.plans.keys() - period.newer.plans.keys()) if sold else frozenset()


def _unchanged_plans(period: PreviewPeriod) -> frozenset[str]:
    """Return the plans with the prices of the last published version; none if its policies differ.

    That version is announced and in force no later than the new one. At every renewal, the two therefore give
    the same price.
    """
    if not period.published.versions:
        return frozenset()
    last, newer = period.published.versions[-1], period.newer
    if (last.renewal, last.cancellation) != (newer.renewal, newer.cancellation):
        return frozenset()
    return frozenset(
        plan
        for plan, prices in newer.plans.items()
        if plan in last.plans
        and (prices.list, prices.annual) == (last.plans[plan].list, last.plans[plan].annual)
    )


def _plans_of(state: Subscription) -> set[str]:
    plans = {state.plan}
    if isinstance(state.reservation, ReservedSwitch):
        plans.add(state.reservation.plan)
    if state.renewal and state.renewal.plan:
        plans.add(state.renewal.plan)
    return plans


def _add_amounts(sums: Counter[tuple[date, str]], lines: Iterable[LedgerLine]) -> None:
    for line in lines:
        sums[_invoice_month(line), line.plan] += line.amount


def _invoice_month(line: LedgerLine) -> date:
    """Return the month on whose invoice the line appears: of a service fee, the month of its days."""
    is_fee = line.kind is LineKind.SERVICE_FEE
    return first_of_month(line.first_day if is_fee else day_of(line.effective_at))
