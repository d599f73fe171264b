"""Lifecycle of one subscription: process deadlines, execute commands, record each transition."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import TypedSearchAttributes

from workflows.activity_calls import INTERACTIVE_PRIORITY, execute_local_first, execute_until_success
from workflows.interceptors import metrics
from workflows.run_input import RefusedSignals
from workflows.search_attributes import all_search_attributes, search_attribute_updates

with workflow.unsafe.imports_passed_through():
    from subscription.activity_contracts import (
        AnswerRecalled,
        DomainCheckInput,
        DomainTokenInput,
        EraseInput,
        NameTaken,
        NewerCataloguesInput,
        PriceBookOutdated,
        RecordResult,
        StoredAnswer,
        StoredAnswerInput,
        Transition,
    )
    from subscription.apply import apply_all
    from subscription.billing_window import wake_time
    from subscription.business_calendar import KST, day_of, start_of
    from subscription.catalogue import PriceBook
    from subscription.commands import CheckDomain, Command, RenameAccount
    from subscription.contract import ContractTerm
    from subscription.deadlines import advance, is_within_horizon, next_deadline, next_due_event
    from subscription.decide import Decision, ExternalFacts, decide, domain_verified_events
    from subscription.event_text import format_deadline
    from subscription.events import CommandRefused, ContractRenewed, Erased, Event
    from subscription.forecast import TOO_FAR_AHEAD
    from subscription.idempotency import ID_REUSED, REMEMBERED_FOR, Known, RecentCommands
    from subscription.refusals import Refusal, RefusalCode
    from subscription.request import AccountKind
    from subscription.state import Subscription
    from subscription.timeline import TIMELINE_KEPT, Answer, TimelineEntry, timeline_entry

_NONE_RECENT = RecentCommands()
_LONGEST_MESSAGE = 500
_MOST_PROBLEMS = 10
MOST_NOTED_A_DAY = 100
"""So many refused signals have an entry of their own in a day's timeline; the others are counted."""

_NAME_TAKEN = Refusal.of(RefusalCode.NAME_TAKEN, reason="RENAME")


class RefusedSignal(NamedTuple):
    """A signal that was refused, and who sent it, if that was said."""

    name: str
    refused: Refusal
    by: str | None = None


class SubscriptionLifecycle:
    """The one writer of a subscription's state. `clock_offset` is None where the clock is the real one."""

    def __init__(
        self,
        state: Subscription,
        book: PriceBook,
        clock_offset: timedelta | None,
        timeline: Sequence[TimelineEntry] = (),
        recent: RecentCommands = _NONE_RECENT,
        refused_signals: RefusedSignals | None = None,
    ) -> None:
        self.state = state
        self.book = book
        self.clock_offset = clock_offset
        self.timeline = tuple(timeline)
        self.recent = recent
        self.refused_signals = refused_signals
        self.has_moved_on = False
        self.year_ended = False

    # -- time ----------------------------------------------------------------------------------------

    def clock(self) -> datetime:
        """What the life's own clock shows (R33)."""
        return workflow.now().astimezone(KST) + (self.clock_offset or timedelta(0))

    def now(self) -> datetime:
        """Business time: the clock, and never before what has already happened."""
        return max(self.clock(), self.state.last_at) if self.state.last_at else self.clock()

    def command_time(self, command: Command) -> datetime | Refusal:
        """When a command counts as asked: in a simulated life at its own `at`, else now."""
        if command.at is None:
            return self.now()
        if self.clock_offset is None:
            return Refusal.of(RefusalCode.NO_TEST_CLOCK, "at")
        if self.state.last_at and command.at < self.state.last_at:
            return Refusal.of(RefusalCode.CLOCK_PASSED, "at", last_at=self.state.last_at)
        if not is_within_horizon(self.state, command.at):
            return TOO_FAR_AHEAD
        return command.at

    def _looked_up_at(self, command: Command) -> datetime:
        """Return the time at which its id is looked up: the command's own, or now if that cannot be."""
        time = self.command_time(command)
        return self.now() if isinstance(time, Refusal) else time

    def next_wake_time(self) -> tuple[datetime, str]:
        """When there is something to do next, and what, for people who look at the timer."""
        deadline, wake_at = next_deadline(self.state), wake_time(self.state, self.book)
        assert deadline, "a life that goes on has a deadline"
        assert wake_at
        if (counted_at := self._counted_at()) and counted_at < wake_at:
            wake_at, words = counted_at, "note how many signals were refused"
        else:
            words = format_deadline(deadline)
        look = min((claim.next_look_at for claim in self.state.claims), default=None)
        if look and look < wake_at:
            return look, "look for the proof of domain ownership"
        return wake_at, words

    # -- what is due ---------------------------------------------------------------------------------

    async def process_due(self, now: datetime) -> None:
        """All that is due at `now`, looking for proofs of domain ownership included."""
        await self._process_deadlines(now)
        await self._note_rest_of_day(now)
        if any(claim.next_look_at <= now for claim in self.state.claims):
            await self._look(now)

    async def _process_deadlines(self, now: datetime) -> None:
        """Every deadline at or before `now`, in due order, each recorded before the next is begun (R23)."""
        while event := next_due_event(self.state, now, self.book):
            expected_at = wake_time(self.state, self.book) or event.at
            if isinstance(event, Erased):
                await self._erase(event)
            elif isinstance(await self._record((event,), at_once=True), PriceBookOutdated):
                continue
            if self.clock_offset is None:  # a simulated life's clock stands still between its commands
                metrics.deadline_met(event, self.clock() - expected_at)

    async def _look(self, now: datetime) -> None:
        proved = await self._verified_domains()
        while events := domain_verified_events(self.state, proved, now):
            await self._record(events, at_once=True)
        self._reschedule_looks(now)

    async def _verified_domains(self) -> tuple[str, ...]:
        policy = self.book.domain_policy
        tokens = {claim.name: claim.token for claim in self.state.claims}
        found = await execute_until_success(
            "look_for_proof", DomainCheckInput(tokens=tokens, cname_target=policy.cname_target)
        )
        return tuple(found.proved)

    def _reschedule_looks(self, now: datetime) -> None:
        policy, state = self.book.domain_policy, self.state
        self.state = state.model_copy(
            update={
                "claim": state.claim and state.claim.looked_at(now, policy),
                "rename_claim": state.rename_claim and state.rename_claim.looked_at(now, policy),
            }
        )

    async def _erase(self, event: Erased) -> None:
        after = apply_all(self.state, (event,))
        self.show()  # erasing may take its time
        await execute_until_success(
            "erase_subscription",
            EraseInput(
                subscription_id=after.subscription_id, sequence=after.sequence, event=event, state=after
            ),
        )
        self._set_state(after, (event,))

    # -- what is asked -------------------------------------------------------------------------------

    def refused_at_once(self, command: Command) -> Refusal | None:
        """The refusal that the state alone decides, on a copy on which all that is due is done."""
        known = self.recent.known(command, self._looked_up_at(command))
        if isinstance(known, Refusal):
            return known
        if known is not Known.NEW:
            return None
        now = self.command_time(command)
        if isinstance(now, Refusal):
            return now
        decision = decide(advance(self.state, now, self.book), command, now, self.book)
        if isinstance(decision, Refusal) and not decision.judged_by_catalogue:
            return decision
        return None

    async def answer(self, command: Command) -> Answer | Refusal:
        """Judge a command after all that is due, and carry it out; the answer comes once it is recorded."""
        original = await self._original_answer(command)
        if original is not None:
            return original
        now = self.command_time(command)
        if isinstance(now, Refusal):
            return now
        return await self._judge_and_record(command, now)

    async def _judge_and_record(self, command: Command, now: datetime) -> Answer | Refusal:
        while True:
            # A command that looks for a proof is itself the look that may be due.
            if isinstance(command, CheckDomain):
                await self._process_deadlines(now)
            else:
                await self.process_due(now)
            decision = await self._judged(command, now)
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
                case _:
                    return answer

    async def _judged(self, command: Command, now: datetime) -> Decision | Refusal:
        """The decision by the newest prices, and with what only the world knows."""
        decision = decide(self.state, command, now, self.book)
        if (
            isinstance(decision, Refusal)
            and decision.judged_by_catalogue
            and await self._load_newer_catalogues()
        ):
            decision = decide(self.state, command, now, self.book)
        if isinstance(decision, Refusal):
            return decision
        match command:
            case CheckDomain():
                found = ExternalFacts(proved=await self._verified_domains())
                self._reschedule_looks(now)
            case RenameAccount() if command.account.kind is AccountKind.DOMAIN:
                found = ExternalFacts(token=await self._token(command.account.name))
            case _:
                return decision
        return decide(self.state, command, now, self.book, found)

    async def _load_newer_catalogues(self) -> bool:
        known = NewerCataloguesInput(edition=self.book.edition)
        newer = (await execute_local_first("newer_catalogues", known)).newer
        self.book = self.book.with_versions(newer)
        return bool(newer)

    async def _token(self, domain: str) -> str:
        wanted = DomainTokenInput(subscription_id=self.state.subscription_id, domain=domain)
        token: str = (
            await execute_until_success("issue_domain_token", wanted, priority=INTERACTIVE_PRIORITY)
        ).token
        return token

    async def _original_answer(self, command: Command) -> Answer | Refusal | None:
        """The answer to a command that was accepted before under its id (R22); None for a new one."""
        known = self.recent.known(command, self._looked_up_at(command))
        if isinstance(known, Refusal):
            return known
        if known is Known.NEW:
            return None
        assert command.id is not None
        wanted = StoredAnswerInput(
            subscription_id=self.state.subscription_id,
            command_id=command.id,
            fingerprint=command.fingerprint(),
            since=self._looked_up_at(command) - REMEMBERED_FOR,
        )
        recalled: AnswerRecalled = await execute_local_first("recall_answer", wanted)
        return ID_REUSED if recalled.reused else recalled.answer

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

    # -- signals that are refused --------------------------------------------------------------------

    async def note_refusals(self, refusals: Sequence[RefusedSignal]) -> None:
        """A signal has nobody to answer, so its refusal goes into the timeline; several in one transition.

        Whoever may signal could fill the timeline, so each day has a bound. What is beyond it is counted.
        """
        now = self.now()
        await self.process_due(now)
        if not self.state.state.accepts_commands:
            return
        today = self._refused_today()
        noted = refusals[: max(0, MOST_NOTED_A_DAY - today.noted)]
        self.refused_signals = today.model_copy(update={"noted": today.noted + len(noted)})
        self.count_refused(len(refusals) - len(noted))
        events = tuple(CommandRefused.of(now, each.name, shortened(each.refused)) for each in noted)
        if events:
            await self._record_as_it_is(events, tuple(each.by for each in noted))

    def count_refused(self, signals: int) -> None:
        """Count signals that have no entry of their own; their number is noted when the day is over."""
        if signals:
            today = self._refused_today()
            self.refused_signals = today.model_copy(update={"more": today.more + signals})

    def _refused_today(self) -> RefusedSignals:
        return self.refused_signals or RefusedSignals(day=day_of(self.now()))

    def _counted_at(self) -> datetime | None:
        """When the rest of a day's refused signals is noted: as soon as the day is over."""
        counted = self.refused_signals
        return start_of(counted.day + timedelta(days=1)) if counted and counted.more else None

    async def _note_rest_of_day(self, now: datetime) -> None:
        counted = self.refused_signals
        if counted is None or day_of(now) <= counted.day:
            return
        self.refused_signals = None
        if counted.more and self.state.state.accepts_commands:
            refused = Refusal.of(RefusalCode.TOO_MANY_SIGNALS, date=counted.day, more=counted.more)
            rest = CommandRefused.of(now, "signals", refused).model_copy(update={"count": counted.more})
            await self._record_as_it_is((rest,), ())

    async def _record_as_it_is(self, events: tuple[Event, ...], by: tuple[str | None, ...]) -> None:
        """Write what no price decides."""
        while isinstance(await self._record(events, by=by), PriceBookOutdated):
            pass

    # -- the record ----------------------------------------------------------------------------------

    async def _record(
        self,
        events: tuple[Event, ...],
        command: Command | None = None,
        answer: Answer | None = None,
        now: datetime | None = None,
        by: tuple[str | None, ...] = (),
        *,
        at_once: bool = False,
    ) -> RecordResult:
        """Write a transition, and only then become its state. Newer prices mean: judge again (R19).

        `at_once` for what the history alone has decided: see `workflows.activity_calls`.
        """
        after = apply_all(self.state, events)
        kept = None
        if command and now:
            by = (command.by,) * len(events) if command.by else ()
            if command.id and answer:
                kept = StoredAnswer(command_id=command.id, fingerprint=command.fingerprint(), answer=answer)
        transition = Transition(
            subscription_id=self.state.subscription_id,
            first_sequence=self.state.sequence + 1,
            events=events,
            state=after,
            edition=self.book.edition,
            answer=kept,
            by=by,
        )
        result = await self._recorded(transition, at_once=at_once)
        match result:
            case PriceBookOutdated(newer=newer):
                self.book = self.book.with_versions(newer)
            case NameTaken():
                pass
            case _:
                self._set_state(after, events)
                if command and now:
                    self.recent = self.recent.adding(command, now)
        return result

    async def _recorded(self, transition: Transition, *, at_once: bool) -> RecordResult:
        summary = _summary(transition.events)
        result: RecordResult
        if at_once:
            result = await execute_local_first("record_transition", transition, summary)
        else:
            result = await execute_until_success(
                "record_transition", transition, summary, INTERACTIVE_PRIORITY
            )
        return result

    def _set_state(self, after: Subscription, events: tuple[Event, ...]) -> None:
        entries = (*self.timeline, *_entries(self.state, events))
        self.timeline = entries[-TIMELINE_KEPT:]
        self.has_moved_on = True
        self.year_ended |= any(_ends_a_year(event) for event in events)
        self.state = after

    # -- what people see -----------------------------------------------------------------------------

    def show(self) -> None:
        """Bring the search attributes up to date with the state."""
        updates = search_attribute_updates(workflow.info().typed_search_attributes, self.state)
        if updates:
            workflow.upsert_search_attributes(updates)

    def shown(self) -> TypedSearchAttributes:
        """What a new run begins with, where it costs no event."""
        return all_search_attributes(workflow.info().typed_search_attributes, self.state)


def _entries(state: Subscription, events: Sequence[Event]) -> tuple[TimelineEntry, ...]:
    entries = []
    for event in events:
        state = apply_all(state, (event,))
        entries.append(timeline_entry(event, state))
    return tuple(entries)


def shortened(refused: Refusal) -> Refusal:
    """A refusal as it is kept: what a caller sent may have a thousand things wrong with it."""
    message = refused.message
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE - 1]}…"
    return refused.model_copy(update={"message": message, "problems": refused.problems[:_MOST_PROBLEMS]})


def _summary(events: Sequence[Event]) -> str:
    """For people who look at the history: what is recorded, however much it is."""
    names = ", ".join(event.event for event in events[:3])
    return names if len(events) <= 3 else f"{names} and {len(events) - 3} more"


def _ends_a_year(event: Event) -> bool:
    """Whether a contract year has just ended: twelve periods of a monthly chain count as one."""
    if not isinstance(event, ContractRenewed):
        return False
    return event.contract.term is ContractTerm.ANNUAL or event.contract.periods_before % 12 == 0
