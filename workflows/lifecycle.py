"""Lifecycle of one subscription: process deadlines, execute commands, record each transition."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import TypedSearchAttributes

from workflows import activity_stubs
from workflows.activity_calls import (
    INTERACTIVE_PRIORITY,
    bulk_priority,
    execute_local_first,
    execute_until_success,
)
from workflows.interceptors import metrics
from workflows.run_input import RefusedSignals
from workflows.search_attributes import all_search_attributes, search_attribute_updates

with workflow.unsafe.imports_passed_through():
    from subscription.account import AccountKind
    from subscription.activity_contracts import (
        DomainCheckInput,
        DomainCheckResult,
        DomainsLost,
        DomainTokenInput,
        EraseInput,
        MembersInUseInput,
        NameTaken,
        PriceBookInput,
        PriceBookOutdated,
        RecordResult,
        StoredAnswer,
        StoredAnswerInput,
        Transition,
    )
    from subscription.apply import apply_all
    from subscription.billing_window import wake_time
    from subscription.business_calendar import KST, add_months, day_of, start_of
    from subscription.catalogue import PriceBook
    from subscription.commands import CheckDomain, Command, RenameAccount
    from subscription.deadlines import next_deadline
    from subscription.decide import (
        Decision,
        ExternalFacts,
        decide,
        domain_check_events,
        needs_members_in_use,
    )
    from subscription.due_events import advance, deadline_event, is_within_horizon
    from subscription.events import (
        CommandRefused,
        DomainLost,
        Erased,
        Event,
        ServiceFeesPosted,
    )
    from subscription.forecast import TOO_FAR_AHEAD
    from subscription.idempotency import ID_REUSED, REMEMBERED_FOR, Known, RecentCommands
    from subscription.issuer import Channel, Issuer
    from subscription.labels import deadline_label
    from subscription.messages import format_message
    from subscription.price_needs import price_needs
    from subscription.refusals import Refusal, RefusalCode
    from subscription.state import Subscription
    from subscription.timeline import TIMELINE_KEPT, Answer, TimelineEntry, timeline_entry

_NO_RECENT_COMMANDS = RecentCommands()
_MAX_MESSAGE_LENGTH = 500
_MAX_PROBLEMS = 10
_MONTHS_OF_A_RUN = 6
MOST_NOTED_A_DAY = 100
"""Maximum number of refused signals with their own timeline entry per day; the others are only counted."""

_NAME_TAKEN = Refusal.of(RefusalCode.NAME_TAKEN, reason="RENAME")


class RefusedSignal(NamedTuple):
    """A refused signal and its issuer."""

    name: str
    refused: Refusal
    issuer: Issuer


class SubscriptionLifecycle:
    """The only writer of a subscription's state.

    `clock_offset` is the lead of a test clock over workflow time; None if the subscription has no test clock.
    """

    def __init__(
        self,
        state: Subscription,
        price_book: PriceBook,
        clock_offset: timedelta | None,
        timeline: Sequence[TimelineEntry] = (),
        recent: RecentCommands = _NO_RECENT_COMMANDS,
        refused_signals: RefusedSignals | None = None,
    ) -> None:
        self.state = state
        self.price_book = price_book
        self.clock_offset = clock_offset
        self.timeline = tuple(timeline)
        self.recent = recent
        self.refused_signals = refused_signals
        self.has_transitioned = False
        self._run_began_on = day_of(state.last_at) if state.last_at else None

    @property
    def run_covers_half_a_year(self) -> bool:
        """Return whether the events of this run cover six months, because a worker replays all of them.

        A new run costs five history events and a billable action.
        """
        if self._run_began_on is None or self.state.last_at is None:
            return False
        return day_of(self.state.last_at) >= add_months(self._run_began_on, _MONTHS_OF_A_RUN)

    # -- time ----------------------------------------------------------------------------------------

    def clock(self) -> datetime:
        """Return the time of the subscription's own clock (R33)."""
        return workflow.now().astimezone(KST) + (self.clock_offset or timedelta(0))

    def now(self) -> datetime:
        """Return business time: the clock, but never earlier than the last event."""
        return max(self.clock(), self.state.last_at) if self.state.last_at else self.clock()

    def command_time(self, command: Command) -> datetime | Refusal:
        """Return the business time of a command: its own `at` in a simulation, otherwise now."""
        if command.at is None:
            return self.now()
        if self.clock_offset is None:
            return Refusal.of(RefusalCode.NO_TEST_CLOCK, "at")
        if self.state.last_at and command.at < self.state.last_at:
            return Refusal.of(RefusalCode.CLOCK_PASSED, "at", last_at=self.state.last_at)
        if not is_within_horizon(self.state, command.at):
            return TOO_FAR_AHEAD
        return command.at

    def _lookup_time(self, command: Command) -> datetime:
        """Return the time at which the command ID is looked up: the command's, or now if that is invalid."""
        time = self.command_time(command)
        return self.now() if isinstance(time, Refusal) else time

    def next_wake_time(self) -> tuple[datetime, str]:
        """Return when the next step is due, and its description, which the Web UI shows at the timer."""
        deadline = next_deadline(self.state)
        assert deadline, "an active subscription has a deadline"
        wake_at = wake_time(self.state, deadline, self.price_book)
        if (count_due_at := self._refusal_count_due_at()) and count_due_at < wake_at:
            wake_at, description = count_due_at, "Record the number of refused signals"
        else:
            description = format_message(deadline_label(deadline))
        next_check_at = min((domain.next_check_at for domain in self.state.pending_domains), default=None)
        if next_check_at and next_check_at < wake_at:
            return next_check_at, "Check of domain verification records"
        return wake_at, description

    # -- deadlines -----------------------------------------------------------------------------------

    async def process_due(self, now: datetime) -> None:
        """Process everything that is due at `now`, including checks of domain verification records."""
        await self._process_deadlines(now)
        await self._record_refusal_count(now)
        if any(domain.next_check_at <= now for domain in self.state.pending_domains):
            await self._check_domains(now)

    async def _process_deadlines(self, now: datetime) -> None:
        """Process deadlines up to `now` in due order; record each before the next one (R23)."""
        while (deadline := next_deadline(self.state)) and deadline.at <= now:
            event = deadline_event(self.state, deadline, self.price_book)
            expected_at = wake_time(self.state, deadline, self.price_book)
            if isinstance(event, Erased):
                await self._erase(event)
            elif isinstance(await self._record((event,), local_first=True), PriceBookOutdated):
                continue
            if self.clock_offset is None:  # a test clock stands still between commands
                metrics.record_deadline_lateness(event, self.clock() - expected_at)

    async def _check_domains(self, now: datetime) -> None:
        check = await self._check_domain_records()
        await self._record_domain_check(check.verified, check.lost, now)
        self._reschedule_domain_checks(now)

    async def _check_domain_records(self) -> DomainCheckResult:
        return await execute_until_success(
            activity_stubs.check_domain_records,
            DomainCheckInput(
                subscription_id=self.state.subscription_id,
                tokens={domain.name: domain.token for domain in self.state.pending_domains},
                cname_target=self.price_book.domain_policy.cname_target,
            ),
        )

    async def _record_domain_check(
        self, verified: tuple[str, ...], lost: tuple[str, ...], now: datetime
    ) -> None:
        """Record which pending domains are verified and which are lost.

        The database decides between concurrent verifications, so a verified domain may still be lost. The
        record is therefore no local activity: its result does not follow from the workflow history.
        """
        while events := domain_check_events(self.state, verified, lost, now):
            result = await self._record(events)
            if isinstance(result, DomainsLost):
                lost = (*lost, *result.domains)

    def _reschedule_domain_checks(self, now: datetime) -> None:
        policy, state = self.price_book.domain_policy, self.state
        self.state = state.model_copy(
            update={
                "pending_domain": state.pending_domain
                and state.pending_domain.after_failed_check(now, policy),
                "pending_rename_domain": state.pending_rename_domain
                and state.pending_rename_domain.after_failed_check(now, policy),
            }
        )

    async def _erase(self, event: Erased) -> None:
        after = apply_all(self.state, (event,))
        self.update_search_attributes()  # before the erasure, which may take long
        await execute_until_success(
            activity_stubs.erase_subscription,
            EraseInput(
                subscription_id=after.subscription_id, sequence=after.sequence, event=event, state=after
            ),
        )
        self._set_state(after, (event,))

    # -- commands ------------------------------------------------------------------------------------

    def immediate_refusal(self, command: Command) -> Refusal | None:
        """Return a refusal that the state alone decides; None if the command may be accepted.

        The decision is made on a copy of the state, after all due deadlines.
        """
        known = self.recent.known(command, self._lookup_time(command))
        if isinstance(known, Refusal):
            return known
        if known is not Known.NEW:
            return None
        now = self.command_time(command)
        if isinstance(now, Refusal):
            return now
        decision = decide(advance(self.state, now, self.price_book), command, now, self.price_book)
        if isinstance(decision, Refusal) and not decision.judged_by_catalogue:
            return decision
        return None

    async def execute(self, command: Command) -> Answer | Refusal:
        """Decide a command after all due deadlines, record its events, and return the answer."""
        original = await self._original_answer(command)
        if original is not None:
            return original
        now = self.command_time(command)
        if isinstance(now, Refusal):
            return now
        return await self._decide_and_record(command, now)

    async def _decide_and_record(self, command: Command, now: datetime) -> Answer | Refusal:
        while True:
            # `check_domain` is itself the domain check that may be due.
            if isinstance(command, CheckDomain):
                await self._process_deadlines(now)
            else:
                await self.process_due(now)
            decision = await self._decide(command, now)
            if isinstance(decision, Refusal):
                return decision
            answer = self._answer_for(command, decision)
            if not decision.events:
                return answer
            match await self._record(decision.events, command, answer, now):
                case NameTaken():
                    return _NAME_TAKEN
                case PriceBookOutdated():
                    continue
                case DomainsLost(domains=lost):
                    # Decide again after the loss is recorded. `check_domain` records the loss itself.
                    if not isinstance(command, CheckDomain):
                        await self._record_domain_check((), lost, now)
                    continue
                case _:
                    return answer

    async def _decide(self, command: Command, now: datetime) -> Decision | Refusal:
        """Return the decision by the newest prices, with facts from external systems."""
        decision = decide(self.state, command, now, self.price_book)
        if (
            isinstance(decision, Refusal)
            and decision.judged_by_catalogue
            and await self._load_newer_price_book()
        ):
            decision = decide(self.state, command, now, self.price_book)
        if isinstance(decision, Refusal):
            return decision
        match command:
            case CheckDomain():
                check = await self._check_domain_records()
                facts = ExternalFacts(verified=check.verified, lost=check.lost)
                self._reschedule_domain_checks(now)
            case RenameAccount() if command.account.kind is AccountKind.DOMAIN:
                facts = ExternalFacts(token=await self._token(command.account.name))
            case _ if needs_members_in_use(command, now):
                facts = ExternalFacts(members_in_use=await self._members_in_use())
            case _:
                return decision
        return decide(self.state, command, now, self.price_book, facts)

    async def _load_newer_price_book(self) -> bool:
        known = PriceBookInput(revision=self.price_book.revision, needs=price_needs(self.state))
        newer = (await execute_local_first(activity_stubs.get_price_book, known)).book
        self.price_book = newer or self.price_book
        return newer is not None

    async def _token(self, domain: str) -> str:
        input = DomainTokenInput(subscription_id=self.state.subscription_id, domain=domain)
        result = await execute_until_success(
            activity_stubs.issue_domain_token, input, priority=INTERACTIVE_PRIORITY
        )
        return result.token

    async def _members_in_use(self) -> int:
        input = MembersInUseInput(subscription_id=self.state.subscription_id)
        result = await execute_until_success(
            activity_stubs.count_members_in_use, input, priority=INTERACTIVE_PRIORITY
        )
        return result.members

    async def _original_answer(self, command: Command) -> Answer | Refusal | None:
        """Return the stored answer of a repeated command ID (R22); None for a new command."""
        known = self.recent.known(command, self._lookup_time(command))
        if isinstance(known, Refusal):
            return known
        if known is Known.NEW:
            return None
        assert command.id is not None
        input = StoredAnswerInput(
            subscription_id=self.state.subscription_id,
            command_id=command.id,
            fingerprint=command.fingerprint(),
            since=self._lookup_time(command) - REMEMBERED_FOR,
        )
        stored = await execute_local_first(activity_stubs.get_stored_answer, input)
        return ID_REUSED if stored.reused else stored.answer

    def _answer_for(self, command: Command, decision: Decision) -> Answer:
        after = apply_all(self.state, decision.events)
        return Answer(
            command=command.name,
            message=decision.message,
            state=after.state,
            access=after.access,
            events=_entries(self.state, decision.events),
            ledger=tuple(line for event in decision.events for line in event.lines),
        )

    # -- refused signals -----------------------------------------------------------------------------

    async def record_refusals(self, refusals: Sequence[RefusedSignal]) -> None:
        """Record refusals of signals in the timeline, in one transition. Signals return no result.

        The number of entries per day is limited, because a client could fill the timeline. Refusals beyond
        the limit are counted.
        """
        now = self.now()
        await self.process_due(now)
        if not self.state.state.accepts_commands:
            return
        today = self._refusals_of_today()
        noted = refusals[: max(0, MOST_NOTED_A_DAY - today.noted)]
        self.refused_signals = today.model_copy(update={"noted": today.noted + len(noted)})
        self.count_refused_signals(len(refusals) - len(noted))
        events = tuple(CommandRefused.of(now, signal.name, truncated(signal.refused)) for signal in noted)
        if events:
            await self._record_refused(events, now, tuple(signal.issuer for signal in noted))

    def count_refused_signals(self, signals: int) -> None:
        """Count refused signals without a timeline entry; the count is recorded after the day ends."""
        if signals:
            today = self._refusals_of_today()
            self.refused_signals = today.model_copy(update={"more": today.more + signals})

    def _refusals_of_today(self) -> RefusedSignals:
        return self.refused_signals or RefusedSignals(day=day_of(self.now()))

    def _refusal_count_due_at(self) -> datetime | None:
        """Return when the count of refused signals is recorded: at the end of their day."""
        counted = self.refused_signals
        return start_of(counted.day + timedelta(days=1)) if counted and counted.more else None

    async def _record_refusal_count(self, now: datetime) -> None:
        counted = self.refused_signals
        if counted is None or day_of(now) <= counted.day:
            return
        self.refused_signals = None
        if counted.more and self.state.state.accepts_commands:
            refused = Refusal.of(RefusalCode.TOO_MANY_SIGNALS, date=counted.day, more=counted.more)
            rest = CommandRefused.of(now, "signals", refused).model_copy(update={"count": counted.more})
            await self._record_refused((rest,), now)

    async def _record_refused(
        self, events: tuple[Event, ...], now: datetime, issuers: tuple[Issuer, ...] = ()
    ) -> None:
        """Record refusals. They do not depend on prices; a newer price book only repeats the write."""
        while True:
            match await self._record(events, issuers=issuers):
                case PriceBookOutdated():
                    continue
                case DomainsLost(domains=lost):
                    await self._record_domain_check((), lost, now)
                case _:
                    return

    # -- recording -----------------------------------------------------------------------------------

    async def _record(
        self,
        events: tuple[Event, ...],
        command: Command | None = None,
        answer: Answer | None = None,
        now: datetime | None = None,
        issuers: tuple[Issuer, ...] = (),
        *,
        local_first: bool = False,
    ) -> RecordResult:
        """Record a transition in the database, then adopt its state.

        After `PriceBookOutdated` the caller must decide again by the newer prices (R19), after `DomainsLost`
        it must record the loss (R12). Use `local_first` only for transitions that the workflow history
        determines: see `workflows.activity_calls`. A deadline does not check for lost domains.
        """
        after = apply_all(self.state, events)
        to_store = None
        if command and now:
            issuers = (command.issuer,) * len(events)
            if command.id and answer:
                to_store = StoredAnswer(
                    command_id=command.id, fingerprint=command.fingerprint(), answer=answer
                )
        transition = Transition(
            subscription_id=self.state.subscription_id,
            first_sequence=self.state.sequence + 1,
            events=events,
            state=after,
            revision=self.price_book.revision,
            answer=to_store,
            issuers=issuers,
            claims=() if local_first else _claims(self.state, events),
        )
        result = await self._execute_record(transition, local_first=local_first)
        match result:
            case PriceBookOutdated():
                await self._load_newer_price_book()
            case NameTaken() | DomainsLost():
                pass
            case _:
                self._set_state(after, events)
                if command and now:
                    self.recent = self.recent.adding(command, now)
        return result

    async def _execute_record(self, transition: Transition, *, local_first: bool) -> RecordResult:
        summary = _summary(transition.events)
        posts_charges = all(isinstance(event, ServiceFeesPosted) for event in transition.events)
        stub = activity_stubs.post_charges if posts_charges else activity_stubs.record_transition
        if local_first:
            return await execute_local_first(stub, transition, summary)
        is_bulk = any(issuer.channel is Channel.BULK for issuer in transition.issuers)
        priority = bulk_priority(self.state.customer_id) if is_bulk else INTERACTIVE_PRIORITY
        return await execute_until_success(stub, transition, summary, priority)

    def _set_state(self, after: Subscription, events: tuple[Event, ...]) -> None:
        entries = (*self.timeline, *_entries(self.state, events))
        self.timeline = entries[-TIMELINE_KEPT:]
        self.has_transitioned = True
        self.state = after

    # -- search attributes ---------------------------------------------------------------------------

    def update_search_attributes(self) -> None:
        """Upsert the search attributes that differ from the state."""
        updates = search_attribute_updates(workflow.info().typed_search_attributes, self.state)
        if updates:
            workflow.upsert_search_attributes(updates)

    def search_attributes(self) -> TypedSearchAttributes:
        """Return the search attributes of the next run. Setting them at its start costs no history event."""
        return all_search_attributes(workflow.info().typed_search_attributes, self.state)


def _entries(state: Subscription, events: Sequence[Event]) -> tuple[TimelineEntry, ...]:
    entries = []
    for event in events:
        state = apply_all(state, (event,))
        entries.append(timeline_entry(event, state))
    return tuple(entries)


def _claims(state: Subscription, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the pending domains, without those whose loss the events record."""
    lost = {event.domain for event in events if isinstance(event, DomainLost)}
    return tuple(domain.name for domain in state.pending_domains if domain.name not in lost)


def truncated(refused: Refusal) -> Refusal:
    """Return the refusal with bounded size, because a caller's argument may have a thousand problems."""
    message = refused.message
    if len(message) > _MAX_MESSAGE_LENGTH:
        message = f"{message[: _MAX_MESSAGE_LENGTH - 1]}…"
    return refused.model_copy(update={"message": message, "problems": refused.problems[:_MAX_PROBLEMS]})


def _summary(events: Sequence[Event]) -> str:
    """Return the activity summary that the Web UI shows: the names of at most three events."""
    names = ", ".join(event.event for event in events[:3])
    return names if len(events) <= 3 else f"{names} and {len(events) - 3} more"
