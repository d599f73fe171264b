"""The subscription workflow: handlers, main loop, continue-as-new and cleanup."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from adapters.observability.trace_context import current_trace_header, use_trace_header
from workflows.activity_calls import INTERACTIVE_PRIORITY, execute_local_first, execute_until_success
from workflows.attention import set_needs_attention, shown_attention
from workflows.cancellation_shield import run_shielded
from workflows.command_handlers import NO_ARGUMENT, own_value, read_argument, with_command_handlers
from workflows.deadline_timer import DeadlineTimer
from workflows.interceptors import metrics
from workflows.interceptors.message_authentication import is_continued
from workflows.lifecycle import RefusedSignal, SubscriptionLifecycle, shortened
from workflows.run_input import (
    CleanupInput,
    ResumeInput,
    SubscriptionResult,
    WaitingSignal,
    parse_run_input,
    with_run,
)
from workflows.start_options import refused_start

with workflow.unsafe.imports_passed_through():
    from pydantic import TypeAdapter, ValidationError

    from subscription.activity_contracts import DeleteHistoriesInput, ProvisionInput, RequestRefused
    from subscription.attention import read_attention
    from subscription.business_calendar import KST, Instant
    from subscription.catalogue import PriceBook
    from subscription.commands import COMMANDS, Command, is_command_id, parse_command, parse_quote
    from subscription.forecast import Quote, UpcomingEvent, quote_cancellation, upcoming
    from subscription.idempotency import RecentCommands
    from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
    from subscription.refusals import Refusal, RefusalCode
    from subscription.state import State, Subscription
    from subscription.status import Status, status_of
    from subscription.summary_card import summary_card
    from subscription.timeline import Answer, RequestAnswer, TimelineEntry
    from subscription.validation import redact_field_names

_SHORTEST_SLEEP = timedelta(milliseconds=1)
# In a simulation commands bring their own time, so they may come early by the clock, but never late: real
# time goes on while they are judged, on a busy machine for minutes, and no deadline must be met in between.
_SIMULATIONS_LEAD = timedelta(hours=1)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_ENDED = Refusal.of(RefusalCode.SUBSCRIPTION_ENDED)
_IMPOSSIBLE_ID = Refusal.of(RefusalCode.INVALID_ID, reason="WORKFLOW", prefix=WORKFLOW_ID_PREFIX)
_CANCEL_BY_COMMAND = Refusal.of(RefusalCode.CANCEL_BY_COMMAND)
_NOT_STARTED = Refusal.of(RefusalCode.NOT_YET_STARTED)
_RETRYABLE = Refusal.of(RefusalCode.TRY_AGAIN)
_TOO_LARGE = Refusal.of(RefusalCode.INVALID_ARGUMENT, reason="TOO_MUCH")


# What waits is handed on to the next run, whose input may have 2 MB; and a task, which has two seconds, may
# go through all of it.
_MOST_WAITING = 2_000
_MOST_WAITING_BYTES = 512 * 1024
_LARGEST_SIGNAL = 64 * 1024
_NOTED_TOGETHER = 100
# A server may suggest a new run later than it takes to load a history, or never.
_LONGEST_RUN = 8_000
_LARGEST_RUN_BYTES = 8 * 1024 * 1024
# The server fails a task during which 100 signals come in. The worker then replays the whole run, and the
# task is failed again if that takes as long.
_MOST_SIGNALS = 500


@dataclass
class QueuedCommand:
    """What waits for its turn: a command, or `settle`, which asks only what is due and has none.

    A signal is read when it is its turn, for thousands may come in one task. `cause` is what it is done for.
    """

    name: str
    command: Command | Refusal | None
    at: datetime | None = None
    by_signal: bool = False
    argument: RawValue | None = None
    result: Answer | Refusal | None = None
    cause: Payload | None = field(default_factory=current_trace_header)

    @property
    def size(self) -> int:
        return len(self.argument.payload.data) if self.argument else 0

    def read(self) -> Command | Refusal:
        """The command of a signal, or why it cannot be read."""
        if self.command is None:
            assert self.argument is not None
            argument = read_argument(self.argument)
            self.command = argument if isinstance(argument, Refusal) else parse_command(self.name, argument)
        return self.command


@workflow.defn(name="SubscriptionWorkflow")
@with_command_handlers
class SubscriptionWorkflow:
    """It wakes, first does what is due, then what was asked, records it, and sleeps again."""

    @workflow.init
    def __init__(self, start: RawValue = NO_ARGUMENT) -> None:
        argument = own_value(start)
        # Only an earlier run names a stage, and seals it. From any other caller it is a request with an
        # unknown field.
        stage = parse_run_input(argument) if is_continued(start) else None
        self._asked: deque[QueuedCommand] = deque()
        self._waiting_bytes = 0
        self._refusals: list[RefusedSignal] = []
        self._turned_away: Counter[str] = Counter()
        self._leaving = False
        self._signals = 0
        self._signalled_at = 0
        self._alarm = DeadlineTimer()
        self._life: SubscriptionLifecycle | None = None
        self._refused: Refusal | None = None
        self._clearing = stage if isinstance(stage, CleanupInput) else None
        self._request = argument if isinstance(argument, dict) and stage is None else {}
        self._run_ids: tuple[str, ...] = ()
        self._forgotten_runs = 0
        self._request_fingerprint = ""
        if isinstance(stage, ResumeInput):
            self._life = SubscriptionLifecycle(
                stage.state,
                stage.book,
                stage.clock_offset,
                stage.timeline,
                stage.recent,
                stage.refused_signals,
            )
            self._asked.extend(_resumed(signal) for signal in stage.signals)
            self._run_ids, self._forgotten_runs = stage.run_ids, stage.forgotten
            self._request_fingerprint = stage.request_fingerprint

    @workflow.run
    async def run(self, start: RawValue = NO_ARGUMENT) -> SubscriptionResult:
        return await run_shielded(self._run(), self._refuse_cancellation)

    async def _run(self) -> SubscriptionResult:
        if self._clearing:
            return await self._delete_histories(self._clearing)
        if self._life is None:
            await self._provision()
        if self._life is None:
            await self._continue_as_new()
        with use_trace_header(None):  # what follows is no part of the request any more
            return await self._main_loop(self._life)

    async def _main_loop(self, life: SubscriptionLifecycle) -> NoReturn:
        while not life.state.state.over:
            await life.process_due(life.now())
            await self._process_queue(life)
            if self._should_continue_as_new(life):
                await self._continue_as_new()
            await self._wait_for_deadline_or_command(life)
        await self._continue_as_new()

    # -- the beginning -------------------------------------------------------------------------------

    async def _provision(self) -> None:
        """Become a subscription, or learn why not (R9)."""
        workflow_id = workflow.info().workflow_id
        subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        if subscription_id == workflow_id or not is_subscription_id(subscription_id):
            self._refused = _IMPOSSIBLE_ID
            return
        if refused := refused_start():
            self._refused = refused
            return
        simulated_at = _instant(self._request.get("simulated_at"))
        result = await execute_local_first(
            "provision_subscription",
            ProvisionInput(
                subscription_id=subscription_id,
                request=self._request,
                accepted_at=simulated_at or workflow.now(),
            ),
            priority=INTERACTIVE_PRIORITY,
        )
        if isinstance(result, RequestRefused):
            self._refused = result.refused
            return
        self._request_fingerprint = result.fingerprint
        self._life = SubscriptionLifecycle(
            result.state,
            PriceBook(versions=result.catalogues),
            simulated_at - _SIMULATIONS_LEAD - workflow.now() if simulated_at else None,
            result.timeline,
            # Started anew from the record, it does not know the ids that were accepted before.
            RecentCommands(dropped_at=result.state.last_at if result.state.sequence > 1 else None),
        )

    @workflow.update(
        name="request", description="The answer to the request: the trial has started, or why not (R9)"
    )
    async def request(self, fingerprint: RawValue = NO_ARGUMENT) -> RequestAnswer:
        await workflow.wait_condition(lambda: self._life is not None or self._refused is not None)
        if self._refused:
            _raise_refusal(self._refused)
        assert self._life is not None
        given = _fingerprint(read_argument(fingerprint))
        if given and given != self._request_fingerprint:
            _raise_refusal(Refusal.of(RefusalCode.REQUEST_ID_REUSED, "request_id"))
        state = self._life.state
        assert state.trial_ends_at is not None
        return RequestAnswer(
            subscription_id=state.subscription_id, state=State.TRIAL, trial_ends_at=state.trial_ends_at
        )

    @request.validator
    def _validate_request(self, fingerprint: RawValue = NO_ARGUMENT) -> None:
        _fingerprint(read_argument(fingerprint))
        if self._clearing:
            _raise_refusal(_ENDED)

    # -- what is asked -------------------------------------------------------------------------------

    async def _process_queue(self, life: SubscriptionLifecycle) -> None:
        """In the order in which it came, for as long as this run goes on."""
        while self._asked and not self._should_continue_as_new(life):
            asked = self._asked[0]
            if asked.by_signal and (refused := self._refused_at_once(life, asked)):
                self._take_first()
                await self._refuse(life, asked, refused)
                continue
            await self._note_refusals(life)
            with use_trace_header(asked.cause):
                result = await self._answer(life, asked)
            self._take_first()
            asked.result = result
            if asked.by_signal and isinstance(result, Refusal):
                await self._refuse(life, asked, result)
        await self._note_refusals(life)

    def _take_first(self) -> QueuedCommand:
        asked = self._asked.popleft()
        self._waiting_bytes -= asked.size
        return asked

    @staticmethod
    def _refused_at_once(life: SubscriptionLifecycle, asked: QueuedCommand) -> Refusal | None:
        command = asked.read()
        return command if isinstance(command, Refusal) else life.refused_at_once(command)

    async def _refuse(self, life: SubscriptionLifecycle, asked: QueuedCommand, refused: Refusal) -> None:
        """Refusals of signals wait for each other, so that many of them are one transition."""
        command = asked.read()
        by = None if isinstance(command, Refusal) else command.by
        with use_trace_header(asked.cause):
            self._refusals.append(RefusedSignal(asked.name, refused, by))
            if len(self._refusals) >= _NOTED_TOGETHER or not (self._asked and self._asked[0].by_signal):
                await self._note_refusals(life)

    async def _note_refusals(self, life: SubscriptionLifecycle) -> None:
        refusals, self._refusals = self._refusals, []
        self._count_turned_away(life)
        if not refusals:
            return
        if life.state.state.accepts_commands:
            await life.note_refusals(refusals)
        for (name, code), times in Counter((each.name, each.refused.code) for each in refusals).items():
            metrics.refused(name, code, "SIGNAL", times)

    def _count_turned_away(self, life: SubscriptionLifecycle) -> None:
        turned_away, self._turned_away = self._turned_away, Counter()
        life.count_refused(turned_away.total())
        for name, times in turned_away.items():
            metrics.refused(name, RefusalCode.TOO_MANY_SIGNALS, "SIGNAL", times)

    async def _answer(self, life: SubscriptionLifecycle, asked: QueuedCommand) -> Answer | Refusal:
        if isinstance(asked.command, Refusal):
            return asked.command
        if asked.command:
            return await life.answer(asked.command)
        await life.process_due(max(asked.at or life.now(), life.now()))
        return _settled(life)

    async def take_update(self, name: str, argument: Any) -> Answer:
        command = _updating_command(name, argument)
        return await self._answered(QueuedCommand(name, command))

    def judge_update(self, name: str, argument: Any) -> None:
        """Refuse at once, and without a trace in the history, what the rules refuse as things stand."""
        command = _updating_command(name, argument)
        life = self._taking_updates()
        if not self._asked and (refused := life.refused_at_once(command)):
            _raise_refusal(refused)

    def _taking_updates(self) -> SubscriptionLifecycle:
        """The life that an update may be asked of now."""
        if self._clearing or self._life is None:
            _raise_refusal(_ENDED if self._clearing else _NOT_STARTED)
        if self._leaving or len(self._asked) >= _MOST_WAITING:
            _raise_refusal(_RETRYABLE)
        return self._life

    def take_signal(self, name: str, argument: RawValue) -> None:
        """A signal has nobody to answer: what is wrong with it goes into the timeline."""
        name = name if name in COMMANDS else "an unknown signal"
        asked = QueuedCommand(name, None, by_signal=True, argument=argument)
        if asked.size > _LARGEST_SIGNAL:
            asked = QueuedCommand(name, _TOO_LARGE, by_signal=True)
        self._wait(asked)

    def _wait(self, asked: QueuedCommand) -> None:
        """Whoever may signal could send any number: what is beyond the bound is refused, and counted."""
        self._count_signal()
        waiting_bytes = self._waiting_bytes + asked.size
        if len(self._asked) >= _MOST_WAITING or waiting_bytes > _MOST_WAITING_BYTES:
            self._turned_away[asked.name] += 1
            return
        self._asked.append(asked)
        self._waiting_bytes = waiting_bytes

    def _count_signal(self) -> None:
        self._signals += 1
        self._signalled_at = workflow.info().get_current_history_length()

    def _refuse_cancellation(self) -> None:
        """A request to cancel the workflow has nobody to answer either."""
        self._wait(QueuedCommand("Temporal's cancellation", _CANCEL_BY_COMMAND, by_signal=True))

    @workflow.signal(
        name="needs_attention", description="Show in lists that somebody must look, or need not any more"
    )
    def needs_attention(self, argument: RawValue = NO_ARGUMENT) -> None:
        if self._clearing:
            self.take_signal("needs_attention", NO_ARGUMENT)
        elif read := read_attention(read_argument(argument)):
            self._count_signal()
            needed, attention = read
            set_needs_attention(attention if needed else None)

    @workflow.signal(dynamic=True, description="Any other name: refused in the timeline")
    def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        self.take_signal(name, NO_ARGUMENT)

    @workflow.update(dynamic=True, description="Any other name: refused")
    async def unknown_update(self, name: str, args: Sequence[RawValue]) -> Answer:
        return await self.take_update(name, {})

    @unknown_update.validator
    def _refuse_unknown(self, name: str, args: Sequence[RawValue]) -> None:
        self.judge_update(name, {})

    @workflow.update(name="settle", description="Do now all that is due by the subscription's own clock")
    async def settle(self, argument: RawValue = NO_ARGUMENT) -> Answer:
        value = read_argument(argument)
        at = _instant(value.get("at")) if isinstance(value, dict) else None
        simulated = self._life is not None and self._life.clock_offset is not None
        return await self._answered(QueuedCommand("settle", None, at=at if simulated else None))

    @settle.validator
    def _validate_settle(self, argument: RawValue = NO_ARGUMENT) -> None:
        _check_key(argument)
        self._taking_updates()

    async def _answered(self, asked: QueuedCommand) -> Answer:
        self._asked.append(asked)
        await workflow.wait_condition(lambda: asked.result is not None)
        if isinstance(asked.result, Refusal):
            _raise_refusal(asked.result)
        assert asked.result is not None
        return asked.result

    # -- sleeping, going on, and ending --------------------------------------------------------------

    async def _wait_for_deadline_or_command(self, life: SubscriptionLifecycle) -> None:
        if life.state.state.over:
            return
        life.show()
        wake_at, summary = life.next_wake_time()
        if wake_at <= life.now():  # after a test clock was lost, the record may be ahead of the real one
            return
        self._alarm.ring_at(wake_at, max(wake_at - life.clock(), _SHORTEST_SLEEP), summary)
        await workflow.wait_condition(
            lambda: bool(self._asked) or self._alarm.rings() or self._should_continue_as_new(life)
        )

    def _should_continue_as_new(self, life: SubscriptionLifecycle) -> bool:
        """Whether this run goes no further: for its length, its year, or the request that its history has.

        Its length alone would not end it while somebody is always asking, so then it takes nothing more.

        The request goes with the first thing that happens after it. Not at once, for Temporal holds back by a
        second what follows a run that was shorter than that.
        """
        run = workflow.info()
        if run.is_continue_as_new_suggested() or life.year_ended:
            return True
        if run.get_current_history_length() >= _LONGEST_RUN or self._signals >= _MOST_SIGNALS:
            return True
        if run.get_current_history_size() >= _LARGEST_RUN_BYTES:
            return True
        return bool(self._request) and life.has_moved_on and life.state.state.accepts_commands

    async def _continue_as_new(self) -> NoReturn:
        """Go on in a fresh history, once all updates that were accepted have been answered.

        Nothing more is accepted meanwhile, whoever is asking. Signals that wait go on to the next run.
        """
        self._leaving = True
        if self._life:
            await self._answer_who_still_waits(self._life)
        await self._wait_for_a_quiet_task()
        workflow.continue_as_new(
            self._next_stage(), search_attributes=self._life.shown() if self._life else None
        )

    async def _wait_for_a_quiet_task(self) -> None:
        """Wait until no handler runs; a subscription also waits for a task in which no signal has come.

        If a signal comes in during a task that ends the run, the server fails it, and the worker replays the
        run. A task that contains only a fired timer is short, so that few signals come in during it. The
        task after a failed one contains the signals, and is as long as the replay: it starts the timer again.
        """
        while True:
            await workflow.wait_condition(workflow.all_handlers_finished)
            signalled = self._signalled_at == workflow.info().get_current_history_length()
            if self._life is None or not signalled:
                return
            for asked in self._asked:
                asked.read()
            await workflow.sleep(_SHORTEST_SLEEP)

    async def _answer_who_still_waits(self, life: SubscriptionLifecycle) -> None:
        """Updates before which no signal waits. The others are told to come again, which keeps the order."""
        over = life.state.state.over
        while self._asked and (over or not self._asked[0].by_signal):
            asked = self._take_first()
            if not asked.by_signal:
                with use_trace_header(asked.cause):
                    asked.result = await self._answer(life, asked)
        for asked in self._asked:
            if not asked.by_signal:
                asked.result = _RETRYABLE
        self._asked = deque(asked for asked in self._asked if asked.by_signal)

    def _next_stage(self) -> ResumeInput | CleanupInput:
        run_ids, forgotten = with_run(self._run_ids, self._forgotten_runs, workflow.info().run_id)
        life = self._life
        if life is None:
            assert self._refused is not None
            result = SubscriptionResult(
                state=State.REJECTED,
                code=self._refused.code,
                problems=redact_field_names(self._refused.problems),
            )
            return CleanupInput(run_ids=run_ids, forgotten=forgotten, erased_at=None, result=result)
        if life.state.state.over:
            result = SubscriptionResult(state=life.state.state)
            return CleanupInput(
                run_ids=run_ids, forgotten=forgotten, erased_at=life.state.ended_at, result=result
            )
        self._count_turned_away(life)
        return ResumeInput(
            state=life.state,
            book=life.book,
            clock_offset=life.clock_offset,
            run_ids=run_ids,
            forgotten=forgotten,
            timeline=life.timeline,
            request_fingerprint=self._request_fingerprint,
            recent=life.recent,
            refused_signals=life.refused_signals,
            signals=tuple(_waiting(asked) for asked in self._asked),
        )

    async def _delete_histories(self, clearing: CleanupInput) -> SubscriptionResult:
        """The last run names nobody; all that it does is delete the earlier ones (R31)."""
        set_needs_attention(None)
        await execute_until_success(
            "delete_histories",
            DeleteHistoriesInput(
                run_ids=clearing.run_ids, forgotten=clearing.forgotten, erased_at=clearing.erased_at
            ),
            summary=f"{clearing.forgotten + len(clearing.run_ids)} earlier runs",
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._asked:
            # Somebody's words have come by signal, into the history of this run: it must go as well.
            run_ids, forgotten = with_run(clearing.run_ids, clearing.forgotten, workflow.info().run_id)
            workflow.continue_as_new(clearing.model_copy(update={"run_ids": run_ids, "forgotten": forgotten}))
        return clearing.result

    # -- queries -------------------------------------------------------------------------------------

    @workflow.query(description="Where the subscription stands")
    def status(self) -> Status | SubscriptionResult:
        if self._clearing:
            return self._clearing.result
        life = self._require_lifecycle()
        return status_of(life.state, life.book.domain_policy)

    @workflow.query(description="The latest 100 entries of its timeline; the record has them all")
    def timeline(self) -> tuple[TimelineEntry, ...]:
        return self._life.timeline if self._life else ()

    @workflow.query(description="What will happen next if nothing is asked, with amounts")
    def upcoming(self) -> tuple[UpcomingEvent, ...]:
        if self._clearing:
            return ()
        life = self._require_lifecycle()
        return upcoming(life.state, self._asking_time(None), life.book)

    @workflow.query(description='What cancelling on {"date": …} would cost (R28)')
    def quote_cancellation(self, argument: RawValue = NO_ARGUMENT) -> Quote:
        _check_key(argument)
        quoted = parse_quote(read_argument(argument))
        if isinstance(quoted, Refusal):
            _raise_refusal(quoted)
        if self._clearing:
            _raise_refusal(_ENDED)
        life = self._require_lifecycle()
        quote = quote_cancellation(life.state, quoted.date, self._asking_time(quoted.at), life.book)
        if isinstance(quote, Refusal):
            _raise_refusal(quote)
        return quote

    def card_of_now(self) -> str:
        """What Temporal's UI shows as the current details of the workflow."""
        if self._clearing:
            return f"- **State**: {self._clearing.result.state}"
        if self._life is None:
            return f"- **State**: {State.PROVISIONING}"
        attention = shown_attention()
        shown = f"- **Needs attention**: {attention.words}\n" if attention else ""
        return shown + summary_card(self._life.state, self._asking_time(None))

    @workflow.query(description="The whole state, as the record keeps it; null if there is none")
    def snapshot(self) -> Subscription | None:
        return self._life.state if self._life else None

    @workflow.query(description="The catalogue versions that it knows; null if it is no subscription")
    def price_book(self) -> PriceBook | None:
        return self._life.book if self._life else None

    def _require_lifecycle(self) -> SubscriptionLifecycle:
        if self._life is None:
            _raise_refusal(self._refused or _NOT_STARTED)
        return self._life

    def _asking_time(self, given: datetime | None) -> datetime:
        """A query runs no task, so the workflow's clock may be days old: the later of it and the real one."""
        life = self._require_lifecycle()
        if given or life.clock_offset is not None:
            return max(given or life.now(), life.now())
        with workflow.unsafe.sandbox_unrestricted():
            return max(life.now(), datetime.now(KST))


def _waiting(asked: QueuedCommand) -> WaitingSignal:
    """A signal, as it is handed on to the next run."""
    command = asked.read()
    if isinstance(command, Refusal):
        return WaitingSignal(name=asked.name, refused=shortened(command))
    return WaitingSignal(name=asked.name, argument=command.model_dump(mode="json", exclude_unset=True))


def _resumed(signal: WaitingSignal) -> QueuedCommand:
    """A signal that an earlier run has handed on."""
    command = signal.refused or parse_command(signal.name, signal.argument)
    return QueuedCommand(signal.name, command, by_signal=True, cause=None)


def _settled(life: SubscriptionLifecycle) -> Answer:
    state = life.state
    return Answer(
        command="settle",
        message="All that was due is done.",
        state=state.state,
        access=state.access,
        events=(),
        ledger=(),
    )


def _updating_command(name: str, argument: Any) -> Command:
    """The command of an update. An update's id is its command's too, unless that has one of its own (R22).

    Temporal forgets update ids at continue-as-new, and may deliver an update once more after it.
    """
    command = argument if isinstance(argument, Refusal) else parse_command(name, argument)
    if isinstance(command, Refusal):
        _raise_refusal(command)
    update = workflow.current_update_info()
    if command.id is None and update and is_command_id(update.id):
        return command.model_copy(update={"id": update.id})
    return command


def _fingerprint(value: object) -> str | None:
    """Return the fingerprint that a caller of `request` compares with; None if the caller sends none."""
    if isinstance(value, Refusal):
        _raise_refusal(value)
    if value is None or value == {}:
        return None
    if not isinstance(value, str):
        _raise_refusal(Refusal.of(RefusalCode.INVALID_ARGUMENT, reason="FINGERPRINT"))
    return value or None


def _check_key(argument: RawValue) -> None:
    value = read_argument(argument)
    if isinstance(value, Refusal):
        _raise_refusal(value)


def _instant(value: object) -> datetime | None:
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        return None


def _raise_refusal(refused: Refusal) -> NoReturn:
    """A refusal, as callers of Temporal hear it: its code is the error's type."""
    raise ApplicationError(
        refused.message, refused.model_dump(mode="json"), type=refused.code, non_retryable=True
    )
