"""The subscription workflow: handlers, main loop, continue-as-new and cleanup.

A subscription is one workflow, which consists of a chain of runs. `run_input` names the stage of a run:

    request ──► provision ────────────────────────────────────┐ refused
    (1st run)       │ accepted                                │
                    ▼                                         │
    RESUME ──► process deadlines ◄────────────┐              │
    (next run)      ▼                          │              │
                process queued commands        │              │
                    ▼                          │              │
                continue as new? ──no──► wait for a deadline  │
                    │ yes, or erased     or a command         │
                    ▼                                         │
                drain the queue ◄─────────────────────────────┘
                    └──► continue as new ──► RESUME, or CLEANUP after erasure or refusal

    CLEANUP ──► delete the histories of the earlier runs ──► end

Each transition is recorded in the database before it becomes the workflow's state. An update returns after
that. Signals return no result, so their refusals are recorded in the timeline.
"""

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
from workflows import activity_stubs
from workflows.activity_calls import INTERACTIVE_PRIORITY, execute_local_first, execute_until_success
from workflows.attention import attention_memo, current_attention, set_needs_attention
from workflows.cancellation_shield import run_shielded
from workflows.command_handlers import NO_ARGUMENT, decode_own_argument, read_argument, with_command_handlers
from workflows.deadline_timer import DeadlineTimer
from workflows.interceptors import metrics
from workflows.interceptors.message_authentication import is_continued
from workflows.lifecycle import RefusedSignal, SubscriptionLifecycle, truncated
from workflows.run_input import (
    CleanupInput,
    ResumeInput,
    SubscriptionResult,
    WaitingSignal,
    parse_run_input,
    run_argument,
    with_run,
)
from workflows.start_options import start_refusal

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
    from subscription.issuer import Channel, Issuer
    from subscription.price_needs import needed_versions, price_needs
    from subscription.refusals import Refusal, RefusalCode
    from subscription.state import State, Subscription
    from subscription.status import Status, status_of
    from subscription.summary_card import summary_card
    from subscription.timeline import TIMELINE_KEPT, Answer, RequestAnswer, TimelineEntry
    from subscription.validation import redact_field_names

_MIN_SLEEP = timedelta(milliseconds=1)
# In a simulation, each command brings its own time. The simulated clock must never pass that time before the
# command is processed, which takes minutes on a busy machine; otherwise a deadline would be processed first.
# The simulated clock therefore starts this much behind.
_SIMULATION_LEAD = timedelta(hours=1)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_ENDED = Refusal.of(RefusalCode.SUBSCRIPTION_ENDED)
_INVALID_WORKFLOW_ID = Refusal.of(RefusalCode.INVALID_ID, reason="WORKFLOW", prefix=WORKFLOW_ID_PREFIX)
_CANCEL_BY_COMMAND = Refusal.of(RefusalCode.CANCEL_BY_COMMAND)
_NOT_STARTED = Refusal.of(RefusalCode.NOT_YET_STARTED)
_RETRYABLE = Refusal.of(RefusalCode.TRY_AGAIN)
_TOO_LARGE = Refusal.of(RefusalCode.INVALID_ARGUMENT, reason="TOO_MUCH")

# Queued signals are passed to the next run, whose input may have at most 2 MB. A single workflow task may
# have to process all of them.
_MAX_QUEUED = 2_000
_MAX_QUEUED_BYTES = 512 * 1024
_MAX_SIGNAL_BYTES = 64 * 1024
_REFUSALS_PER_TRANSITION = 100
# The server may suggest continue-as-new too late, when the history already takes too long to load, or never.
_MAX_RUN_EVENTS = 8_000
_MAX_RUN_BYTES = 8 * 1024 * 1024
# The server fails a workflow task during which 100 signals arrive. The worker then replays the whole run. If
# the replay takes as long, the server fails the task again.
_MAX_SIGNALS_PER_RUN = 500


@dataclass
class QueuedCommand:
    """A queued command, or `settle`, which only processes due deadlines and has no command.

    A signal is parsed when its turn comes, because thousands may arrive in one workflow task. `trace_header`
    is the trace of the caller.
    """

    name: str
    command: Command | Refusal | None
    at: datetime | None = None
    is_signal: bool = False
    argument: RawValue | None = None
    result: Answer | Refusal | None = None
    trace_header: Payload | None = field(default_factory=current_trace_header)

    @property
    def size(self) -> int:
        return len(self.argument.payload.data) if self.argument else 0

    def parse(self) -> Command | Refusal:
        """Return the command of a signal, or the refusal of an argument that cannot be parsed."""
        if self.command is None:
            assert self.argument is not None
            argument = read_argument(self.argument)
            command = argument if isinstance(argument, Refusal) else parse_command(self.name, argument)
            if isinstance(command, Command):
                command = command.model_copy(update={"channel": Channel.SIGNAL})
            self.command = command
        return self.command


@workflow.defn(name="SubscriptionWorkflow")
@with_command_handlers
class SubscriptionWorkflow:
    """Entity workflow of one subscription; see the module docstring for its stages."""

    @workflow.init
    def __init__(self, start: RawValue = NO_ARGUMENT) -> None:
        argument = decode_own_argument(start)
        # Only an earlier run passes a run input, and signer it. A `stage` from any other caller is an unknown
        # field of a request.
        run_input = parse_run_input(argument) if is_continued(start) else None
        self._queue: deque[QueuedCommand] = deque()
        self._queued_bytes = 0
        self._parsed_update: tuple[workflow.UpdateInfo | None, Command] | None = None
        self._refusals: list[RefusedSignal] = []
        self._dropped_signals: Counter[str] = Counter()
        self._is_closing = False
        self._signal_count = 0
        self._history_length_at_signal = 0
        self._timer = DeadlineTimer()
        self._lifecycle: SubscriptionLifecycle | None = None
        self._refusal: Refusal | None = None
        self._cleanup = run_input if isinstance(run_input, CleanupInput) else None
        self._request = argument if isinstance(argument, dict) and run_input is None else {}
        self._run_ids: tuple[str, ...] = ()
        self._forgotten_runs = 0
        self._request_fingerprint = ""
        if isinstance(run_input, ResumeInput):
            self._lifecycle = SubscriptionLifecycle(
                run_input.state,
                run_input.book,
                run_input.clock_offset,
                run_input.timeline,
                run_input.recent,
                run_input.refused_signals,
            )
            self._queue.extend(_from_waiting_signal(signal) for signal in run_input.signals)
            self._run_ids, self._forgotten_runs = run_input.run_ids, run_input.forgotten
            self._request_fingerprint = run_input.request_fingerprint

    @workflow.run
    async def run(self, start: RawValue = NO_ARGUMENT) -> SubscriptionResult:
        return await run_shielded(self._run(), self._refuse_cancellation)

    async def _run(self) -> SubscriptionResult:
        if self._cleanup:
            return await self._delete_histories(self._cleanup)
        if self._lifecycle is None:
            await self._provision()
        if self._lifecycle is None:
            await self._continue_as_new()
        with use_trace_header(None):  # the trace of the request ends here
            return await self._main_loop(self._lifecycle)

    async def _main_loop(self, lifecycle: SubscriptionLifecycle) -> NoReturn:
        while not lifecycle.state.state.is_terminal:
            await lifecycle.process_due(lifecycle.now())
            await self._process_queue(lifecycle)
            if self._should_continue_as_new(lifecycle):
                await self._continue_as_new()
            await self._wait_for_deadline_or_command(lifecycle)
        await self._continue_as_new()

    # -- provisioning --------------------------------------------------------------------------------

    async def _provision(self) -> None:
        """Provision the subscription, or store the refusal of its request (R9)."""
        workflow_id = workflow.info().workflow_id
        subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        if subscription_id == workflow_id or not is_subscription_id(subscription_id):
            self._refusal = _INVALID_WORKFLOW_ID
            return
        if refused := start_refusal():
            self._refusal = refused
            return
        simulated_at = _parse_instant(self._request.get("simulated_at"))
        result = await execute_local_first(
            activity_stubs.provision_subscription,
            ProvisionInput(
                subscription_id=subscription_id,
                request=self._request,
                accepted_at=simulated_at or workflow.now(),
            ),
            priority=INTERACTIVE_PRIORITY,
        )
        if isinstance(result, RequestRefused):
            self._refusal = result.refused
            return
        self._request_fingerprint = result.fingerprint
        self._lifecycle = SubscriptionLifecycle(
            result.state,
            result.book,
            simulated_at - _SIMULATION_LEAD - workflow.now() if simulated_at else None,
            result.timeline,
            # A workflow that was restarted from the database does not know the command IDs accepted before.
            RecentCommands(dropped_at=result.state.last_at if result.state.sequence > 1 else None),
        )

    @workflow.update(
        name="request", description="Wait for the answer to the request: trial started, or refused (R9)"
    )
    async def request(self, fingerprint: RawValue = NO_ARGUMENT) -> RequestAnswer:
        await workflow.wait_condition(lambda: self._lifecycle is not None or self._refusal is not None)
        if self._refusal:
            _raise_refusal(self._refusal)
        assert self._lifecycle is not None
        given = _fingerprint(read_argument(fingerprint))
        if given and given != self._request_fingerprint:
            _raise_refusal(Refusal.of(RefusalCode.REQUEST_ID_REUSED, "request_id"))
        state = self._lifecycle.state
        assert state.trial_ends_at is not None
        return RequestAnswer(
            subscription_id=state.subscription_id, state=State.TRIAL, trial_ends_at=state.trial_ends_at
        )

    @request.validator
    def _validate_request(self, fingerprint: RawValue = NO_ARGUMENT) -> None:
        _fingerprint(read_argument(fingerprint))
        if self._cleanup:
            _raise_refusal(_ENDED)

    # -- commands ------------------------------------------------------------------------------------

    async def _process_queue(self, lifecycle: SubscriptionLifecycle) -> None:
        """Execute queued commands in order of arrival, until this run should continue as new."""
        while self._queue and not self._should_continue_as_new(lifecycle):
            queued = self._queue[0]
            if queued.is_signal and (refused := self._immediate_refusal(lifecycle, queued)):
                self._pop_command()
                await self._refuse_signal(lifecycle, queued, refused)
                continue
            await self._record_refusals(lifecycle)
            with use_trace_header(queued.trace_header):
                result = await self._execute(lifecycle, queued)
            self._pop_command()
            queued.result = result
            if queued.is_signal and isinstance(result, Refusal):
                await self._refuse_signal(lifecycle, queued, result)
        await self._record_refusals(lifecycle)

    def _pop_command(self) -> QueuedCommand:
        queued = self._queue.popleft()
        self._queued_bytes -= queued.size
        return queued

    @staticmethod
    def _immediate_refusal(lifecycle: SubscriptionLifecycle, queued: QueuedCommand) -> Refusal | None:
        command = queued.parse()
        return command if isinstance(command, Refusal) else lifecycle.immediate_refusal(command)

    async def _refuse_signal(
        self, lifecycle: SubscriptionLifecycle, queued: QueuedCommand, refused: Refusal
    ) -> None:
        """Collect refusals of consecutive signals and record them in one transition."""
        command = queued.parse()
        issuer = Issuer(channel=Channel.SIGNAL) if isinstance(command, Refusal) else command.issuer
        with use_trace_header(queued.trace_header):
            self._refusals.append(RefusedSignal(queued.name, refused, issuer))
            if len(self._refusals) >= _REFUSALS_PER_TRANSITION or not (
                self._queue and self._queue[0].is_signal
            ):
                await self._record_refusals(lifecycle)

    async def _record_refusals(self, lifecycle: SubscriptionLifecycle) -> None:
        refusals, self._refusals = self._refusals, []
        self._count_dropped_signals(lifecycle)
        if not refusals:
            return
        if lifecycle.state.state.accepts_commands:
            await lifecycle.record_refusals(refusals)
        for (name, code), times in Counter((signal.name, signal.refused.code) for signal in refusals).items():
            metrics.count_refusal(name, code, "SIGNAL", times)

    def _count_dropped_signals(self, lifecycle: SubscriptionLifecycle) -> None:
        dropped, self._dropped_signals = self._dropped_signals, Counter()
        lifecycle.count_refused_signals(dropped.total())
        for name, times in dropped.items():
            metrics.count_refusal(name, RefusalCode.TOO_MANY_SIGNALS, "SIGNAL", times)

    async def _execute(self, lifecycle: SubscriptionLifecycle, queued: QueuedCommand) -> Answer | Refusal:
        if isinstance(queued.command, Refusal):
            return queued.command
        if queued.command:
            return await lifecycle.execute(queued.command)
        await lifecycle.process_due(max(queued.at or lifecycle.now(), lifecycle.now()))
        return _settle_answer(lifecycle)

    async def handle_update(self, name: str, argument: Any) -> Answer:
        command = self._take_parsed_update(name, argument)
        return await self._enqueue_and_wait(QueuedCommand(name, command))

    def validate_update(self, name: str, argument: Any) -> None:
        """Raise the refusal if the current state decides it; a rejected update leaves no history event."""
        command = _parse_update(name, argument)
        lifecycle = self._require_accepting()
        if not self._queue and (refused := lifecycle.immediate_refusal(command)):
            _raise_refusal(refused)
        self._parsed_update = workflow.current_update_info(), command

    def _take_parsed_update(self, name: str, argument: Any) -> Command:
        """Return the command that the validator of this update has parsed; parse it during a replay.

        The validator's result is only a cache: a replay runs no validators, and parses with the same result.
        """
        parsed, self._parsed_update = self._parsed_update, None
        if parsed and parsed[0] == workflow.current_update_info():
            return parsed[1]
        return _parse_update(name, argument)

    def _require_accepting(self) -> SubscriptionLifecycle:
        """Return the lifecycle; raise a refusal if this run accepts no updates."""
        if self._cleanup or self._lifecycle is None:
            _raise_refusal(_ENDED if self._cleanup else _NOT_STARTED)
        if self._is_closing or len(self._queue) >= _MAX_QUEUED:
            _raise_refusal(_RETRYABLE)
        return self._lifecycle

    def handle_signal(self, name: str, argument: RawValue) -> None:
        """Queue a signal. Signals return no result, so refusals are recorded in the timeline."""
        name = name if name in COMMANDS else "an unknown signal"
        queued = QueuedCommand(name, None, is_signal=True, argument=argument)
        if queued.size > _MAX_SIGNAL_BYTES:
            queued = QueuedCommand(name, _TOO_LARGE, is_signal=True)
        self._enqueue_signal(queued)

    def _enqueue_signal(self, queued: QueuedCommand) -> None:
        """Append a signal to the queue; beyond the queue's limits, refuse and count it.

        The limits bound memory, because a client may send any number of signals.
        """
        self._count_signal()
        queued_bytes = self._queued_bytes + queued.size
        if len(self._queue) >= _MAX_QUEUED or queued_bytes > _MAX_QUEUED_BYTES:
            self._dropped_signals[queued.name] += 1
            return
        self._queue.append(queued)
        self._queued_bytes = queued_bytes

    def _count_signal(self) -> None:
        self._signal_count += 1
        self._history_length_at_signal = workflow.info().get_current_history_length()

    def _refuse_cancellation(self) -> None:
        """Queue the refusal of a Temporal cancellation request, which returns no result either."""
        self._enqueue_signal(QueuedCommand("Temporal's cancellation", _CANCEL_BY_COMMAND, is_signal=True))

    @workflow.signal(name="needs_attention", description="Set or clear NeedsAttention, which lists show")
    def needs_attention(self, argument: RawValue = NO_ARGUMENT) -> None:
        if self._cleanup:
            self.handle_signal("needs_attention", NO_ARGUMENT)
        elif read := read_attention(read_argument(argument)):
            self._count_signal()
            needed, attention = read
            set_needs_attention(attention if needed else None)

    @workflow.signal(dynamic=True, description="Unknown signal: the refusal is recorded in the timeline")
    def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        self.handle_signal(name, NO_ARGUMENT)

    @workflow.update(dynamic=True, description="Unknown update: refused")
    async def unknown_update(self, name: str, args: Sequence[RawValue]) -> Answer:
        return await self.handle_update(name, {})

    @unknown_update.validator
    def _validate_unknown(self, name: str, args: Sequence[RawValue]) -> None:
        self.validate_update(name, {})

    @workflow.update(
        name="settle", description="Process all deadlines that are due by the subscription's clock"
    )
    async def settle(self, argument: RawValue = NO_ARGUMENT) -> Answer:
        value = read_argument(argument)
        at = _parse_instant(value.get("at")) if isinstance(value, dict) else None
        simulated = self._lifecycle is not None and self._lifecycle.clock_offset is not None
        return await self._enqueue_and_wait(QueuedCommand("settle", None, at=at if simulated else None))

    @settle.validator
    def _validate_settle(self, argument: RawValue = NO_ARGUMENT) -> None:
        _check_key(argument)
        self._require_accepting()

    async def _enqueue_and_wait(self, queued: QueuedCommand) -> Answer:
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.result is not None)
        if isinstance(queued.result, Refusal):
            _raise_refusal(queued.result)
        assert queued.result is not None
        return queued.result

    # -- waiting, continue-as-new and cleanup --------------------------------------------------------

    async def _wait_for_deadline_or_command(self, lifecycle: SubscriptionLifecycle) -> None:
        if lifecycle.state.state.is_terminal:
            return
        lifecycle.update_search_attributes()
        wake_at, summary = lifecycle.next_wake_time()
        if wake_at <= lifecycle.now():  # a lost test clock may leave the database ahead of the real time
            return
        self._timer.reset(wake_at, max(wake_at - lifecycle.clock(), _MIN_SLEEP), summary)
        await workflow.wait_condition(
            lambda: bool(self._queue) or self._timer.fired() or self._should_continue_as_new(lifecycle)
        )

    def _should_continue_as_new(self, lifecycle: SubscriptionLifecycle) -> bool:
        """Return whether this run should end: because of its size, its age, or the request that it contains.

        A long run stops accepting commands, because continuous commands would otherwise keep it open.

        The request contains personal data. The run with the request ends after its first transition. It does
        not end immediately, because Temporal delays the successor of a run shorter than one second.
        """
        run = workflow.info()
        if run.is_continue_as_new_suggested() or lifecycle.run_covers_half_a_year:
            return True
        if run.get_current_history_length() >= _MAX_RUN_EVENTS or self._signal_count >= _MAX_SIGNALS_PER_RUN:
            return True
        if run.get_current_history_size() >= _MAX_RUN_BYTES:
            return True
        return bool(self._request) and lifecycle.has_transitioned and lifecycle.state.state.accepts_commands

    async def _continue_as_new(self) -> NoReturn:
        """Continue in a new run, after every accepted update has been answered.

        Until then the run accepts no more updates. Queued signals are passed to the next run.
        """
        self._is_closing = True
        if self._lifecycle:
            await self._drain_queue(self._lifecycle)
        await self._wait_for_idle_task()
        workflow.continue_as_new(
            run_argument(self._next_run_input()),
            search_attributes=self._lifecycle.search_attributes() if self._lifecycle else None,
            memo=self._next_memo(),
        )

    def _next_memo(self) -> dict[str, Any] | None:
        """Return the memo with the reason of `NeedsAttention`, unless the next run is the cleanup run."""
        attention = current_attention()
        if attention is None or self._lifecycle is None or self._lifecycle.state.state.is_terminal:
            return None
        return attention_memo(attention)

    async def _wait_for_idle_task(self) -> None:
        """Wait until no handler runs; a subscription also waits for a workflow task without signals.

        If a signal arrives during a task that ends the run, the server fails the task, and the worker replays
        the run. A task that contains only a fired timer is short, so few signals arrive during it. The task
        after a failed one contains the signals and takes as long as the replay: it starts the timer again.
        """
        while True:
            await workflow.wait_condition(workflow.all_handlers_finished)
            has_new_signals = self._history_length_at_signal == workflow.info().get_current_history_length()
            if self._lifecycle is None or not has_new_signals:
                return
            for queued in self._queue:
                queued.parse()
            await workflow.sleep(_MIN_SLEEP)

    async def _drain_queue(self, lifecycle: SubscriptionLifecycle) -> None:
        """Execute the updates that are queued before the first signal; ask the others to retry.

        Updates behind a signal cannot be executed first, because the order of commands must be kept.
        After the end of the subscription, execute every update, which is refused, and discard the signals.
        """
        over = lifecycle.state.state.is_terminal
        while self._queue and (over or not self._queue[0].is_signal):
            queued = self._pop_command()
            if not queued.is_signal:
                with use_trace_header(queued.trace_header):
                    queued.result = await self._execute(lifecycle, queued)
        for queued in self._queue:
            if not queued.is_signal:
                queued.result = _RETRYABLE
        self._queue = deque(queued for queued in self._queue if queued.is_signal)

    def _next_run_input(self) -> ResumeInput | CleanupInput:
        run_ids, forgotten = with_run(self._run_ids, self._forgotten_runs, workflow.info().run_id)
        lifecycle = self._lifecycle
        if lifecycle is None:
            assert self._refusal is not None
            result = SubscriptionResult(
                state=State.REJECTED,
                code=self._refusal.code,
                problems=redact_field_names(self._refusal.problems),
            )
            return CleanupInput(run_ids=run_ids, forgotten=forgotten, erased_at=None, result=result)
        if lifecycle.state.state.is_terminal:
            result = SubscriptionResult(state=lifecycle.state.state)
            return CleanupInput(
                run_ids=run_ids, forgotten=forgotten, erased_at=lifecycle.state.ended_at, result=result
            )
        self._count_dropped_signals(lifecycle)
        return ResumeInput(
            state=lifecycle.state,
            book=needed_versions(lifecycle.price_book, price_needs(lifecycle.state)),
            clock_offset=lifecycle.clock_offset,
            run_ids=run_ids,
            forgotten=forgotten,
            timeline=lifecycle.timeline,
            request_fingerprint=self._request_fingerprint,
            recent=lifecycle.recent,
            refused_signals=lifecycle.refused_signals,
            signals=tuple(_to_waiting_signal(queued) for queued in self._queue),
        )

    async def _delete_histories(self, cleanup: CleanupInput) -> SubscriptionResult:
        """Delete the earlier runs (R31). This last run contains no personal data."""
        set_needs_attention(None)
        await execute_until_success(
            activity_stubs.delete_histories,
            DeleteHistoriesInput(
                run_ids=cleanup.run_ids, forgotten=cleanup.forgotten, erased_at=cleanup.erased_at
            ),
            summary=f"{cleanup.forgotten + len(cleanup.run_ids)} earlier runs",
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._queue:
            # A signal may have brought personal data into this run's history, so it must be deleted too.
            run_ids, forgotten = with_run(cleanup.run_ids, cleanup.forgotten, workflow.info().run_id)
            update = {"run_ids": run_ids, "forgotten": forgotten}
            workflow.continue_as_new(run_argument(cleanup.model_copy(update=update)))
        return cleanup.result

    # -- queries -------------------------------------------------------------------------------------

    @workflow.query(description="Current status of the subscription")
    def status(self) -> Status | SubscriptionResult:
        if self._cleanup:
            return self._cleanup.result
        lifecycle = self._require_lifecycle()
        return status_of(lifecycle.state, lifecycle.price_book.domain_policy)

    @workflow.query(description=f"Latest {TIMELINE_KEPT} timeline entries; the database has all of them")
    def timeline(self) -> tuple[TimelineEntry, ...]:
        return self._lifecycle.timeline if self._lifecycle else ()

    @workflow.query(description="Upcoming events with amounts, if no command is sent")
    def upcoming(self) -> tuple[UpcomingEvent, ...]:
        if self._cleanup:
            return ()
        lifecycle = self._require_lifecycle()
        return upcoming(lifecycle.state, self._query_time(None), lifecycle.price_book)

    @workflow.query(description='Cost of a cancellation on {"date": …} (R28)')
    def quote_cancellation(self, argument: RawValue = NO_ARGUMENT) -> Quote:
        _check_key(argument)
        quoted = parse_quote(read_argument(argument))
        if isinstance(quoted, Refusal):
            _raise_refusal(quoted)
        if self._cleanup:
            _raise_refusal(_ENDED)
        lifecycle = self._require_lifecycle()
        quote = quote_cancellation(
            lifecycle.state, quoted.date, self._query_time(quoted.at), lifecycle.price_book
        )
        if isinstance(quote, Refusal):
            _raise_refusal(quote)
        return quote

    def current_details(self) -> str:
        """Return the Markdown that the Temporal Web UI shows as current details of the workflow."""
        if self._cleanup:
            return f"- **State**: {self._cleanup.result.state}"
        if self._lifecycle is None:
            return f"- **State**: {State.PROVISIONING}"
        attention = current_attention()
        heading = f"- **Needs attention**: {attention.text}\n" if attention else ""
        return heading + summary_card(self._lifecycle.state, self._query_time(None))

    @workflow.query(description="Complete state, as stored in the database; null if there is none")
    def snapshot(self) -> Subscription | None:
        return self._lifecycle.state if self._lifecycle else None

    @workflow.query(description="Catalogue versions that the workflow still needs; null if there are none")
    def price_book(self) -> PriceBook | None:
        return self._lifecycle.price_book if self._lifecycle else None

    def _require_lifecycle(self) -> SubscriptionLifecycle:
        if self._lifecycle is None:
            _raise_refusal(self._refusal or _NOT_STARTED)
        return self._lifecycle

    def _query_time(self, given: datetime | None) -> datetime:
        """Return the business time of a query.

        Queries do not advance workflow time, which may be days old; use the later of it and the real clock.
        """
        lifecycle = self._require_lifecycle()
        if given or lifecycle.clock_offset is not None:
            return max(given or lifecycle.now(), lifecycle.now())
        with workflow.unsafe.sandbox_unrestricted():
            return max(lifecycle.now(), datetime.now(KST))


def _to_waiting_signal(queued: QueuedCommand) -> WaitingSignal:
    """Return a queued signal in the form that is passed to the next run."""
    command = queued.parse()
    if isinstance(command, Refusal):
        return WaitingSignal(name=queued.name, refused=truncated(command))
    return WaitingSignal(name=queued.name, argument=command.model_dump(mode="json", exclude_unset=True))


def _from_waiting_signal(signal: WaitingSignal) -> QueuedCommand:
    """Return the queued command of a signal that an earlier run passed on."""
    command = signal.refused or parse_command(signal.name, signal.argument)
    return QueuedCommand(signal.name, command, is_signal=True, trace_header=None)


def _settle_answer(lifecycle: SubscriptionLifecycle) -> Answer:
    state = lifecycle.state
    return Answer(
        command="settle",
        message="All that was due is done.",
        state=state.state,
        access=state.access,
        events=(),
        ledger=(),
    )


def _parse_update(name: str, argument: Any) -> Command:
    """Parse the command of an update. The update ID becomes the command ID if the command has none (R22).

    Temporal forgets update IDs at continue-as-new, and may deliver an update again after it.
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


def _parse_instant(value: object) -> datetime | None:
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        return None


def _raise_refusal(refused: Refusal) -> NoReturn:
    """Raise a refusal as an application error; the refusal code is the error type."""
    raise ApplicationError(
        refused.message, refused.model_dump(mode="json"), type=refused.code, non_retryable=True
    )
