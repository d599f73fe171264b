"""Expected results by the rules: the running service must return, record and show exactly the same."""

from datetime import date, datetime

from subscription.apply import apply, apply_all
from subscription.business_calendar import day_of
from subscription.catalogue import Catalogue, PriceBook
from subscription.commands import COMMANDS, Command, RenameAccount, parse_command
from subscription.decide import Decision, ExternalFacts, decide, start_trial
from subscription.due_events import is_within_horizon, next_due_event
from subscription.events import CommandRefused, Event
from subscription.forecast import TOO_FAR_AHEAD, Quote, UpcomingEvent, quote_cancellation, upcoming
from subscription.idempotency import ID_REUSED, Known, RecentCommands
from subscription.ledger import LedgerLine
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Request
from subscription.scenario import CONFIRM_DOMAIN, LOSE_DOMAIN
from subscription.state import Subscription, provisioning
from subscription.status import Status, status_of
from subscription.timeline import Answer, TimelineEntry, timeline_entry

TOKEN = "a secret of the service's own"
"""A placeholder for every token; the rules need only its existence."""

_NAME_TAKEN = Refusal.of(RefusalCode.NAME_TAKEN, reason="RENAME")


class ExpectedSubscription:
    """One subscription by the rules alone. `held` are the names that other customers have."""

    def __init__(
        self, subscription_id: str, request: Request, at: datetime, book: PriceBook, held: frozenset[str]
    ) -> None:
        self.book = book
        self.timeline: list[TimelineEntry] = []
        self.ledger: list[LedgerLine] = []
        self.now = at
        self.members_in_use = 1
        self._held = held
        self._answers: dict[str, tuple[str, Answer]] = {}
        self._recent = RecentCommands()
        self._updates = 0
        catalogue = book.in_force(day_of(at))
        assert catalogue is not None
        self.state: Subscription = provisioning(subscription_id, request)
        self._happens(start_trial(at, request.account.account, request.agreed_terms, catalogue, TOKEN))

    # -- time ----------------------------------------------------------------------------------------

    def publish(self, catalogue: Catalogue) -> None:
        self.book = self.book.with_versions([catalogue])

    def advance_to(self, moment: datetime) -> None:
        self.now = max(self.now, moment)
        while event := next_due_event(self.state, self.now, self.book):
            self._happens(event)

    # -- commands ------------------------------------------------------------------------------------

    def outcome_of(
        self, name: str, argument: object, *, by_signal: bool = False, domain_step: str = ""
    ) -> Answer | Refusal:
        """Return the response to a command at the current time, which is also the command's own time.

        `domain_step` is the step of a scenario that sets the result of a domain check.
        """
        command = parse_command(name, argument)
        if isinstance(command, Refusal):
            return command
        if command.id is None and not by_signal:
            self._updates += 1
            command = command.model_copy(update={"id": f"given/{self._updates}"})
        if self.state.state.is_terminal:
            return self._after_the_end(command)
        known = self._recent.known(command, self.now)
        if isinstance(known, Refusal):
            return known
        if command.id and known is not Known.NEW:
            return self._first_answer(command)
        assert self.state.last_at is not None
        if command.at and command.at < self.state.last_at:
            return Refusal.of(RefusalCode.CLOCK_PASSED, "at", last_at=self.state.last_at)
        if command.at and not is_within_horizon(self.state, command.at):
            return TOO_FAR_AHEAD
        return self._decided(command, domain_step)

    def refused_in_the_timeline(self, name: str, refused: Refusal, at: datetime) -> None:
        """Record the refusal of a signal, which has no response; `at` is the time of the clock."""
        named = name if name in COMMANDS else "an unknown signal"
        self._happens(CommandRefused.of(at, named, refused))

    def _decided(self, command: Command, domain_step: str) -> Answer | Refusal:
        pending = tuple(domain.name for domain in self.state.pending_domains)
        found = ExternalFacts(
            token=TOKEN,
            verified=pending if domain_step == CONFIRM_DOMAIN else (),
            lost=pending if domain_step == LOSE_DOMAIN else (),
            members_in_use=self.members_in_use,
        )
        decision = decide(self.state, command, self.now, self.book, found)
        if isinstance(decision, Refusal):
            return decision
        if isinstance(command, RenameAccount) and command.account.name in self._held:
            return _NAME_TAKEN
        answer = self._answer(command, decision)
        for event in decision.events:
            self._happens(event)
        if command.id and decision.events:
            self._recent = self._recent.adding(command, self.now)
            self._answers[command.id] = command.fingerprint(), answer
        return answer

    def _answer(self, command: Command, decision: Decision) -> Answer:
        after = apply_all(self.state, decision.events)
        entries, state = [], self.state
        for event in decision.events:
            state = apply(state, event)
            entries.append(timeline_entry(event, state))
        return Answer(
            command=command.name,
            message=decision.message,
            state=after.state,
            access=after.access,
            events=tuple(entries),
            ledger=tuple(line for event in decision.events for line in event.lines),
        )

    def _after_the_end(self, command: Command) -> Answer | Refusal:
        if command.id in self._answers:
            return self._first_answer(command)
        refused = decide(self.state, command, self.now, self.book)
        assert isinstance(refused, Refusal)
        return refused

    def _first_answer(self, command: Command) -> Answer | Refusal:
        assert command.id is not None
        fingerprint, first = self._answers[command.id]
        return first if fingerprint == command.fingerprint() else ID_REUSED

    # -- queries -------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return status_of(self.state, self.book.domain_policy)

    def upcoming(self) -> tuple[UpcomingEvent, ...]:
        return () if self.state.state.is_terminal else upcoming(self.state, self.now, self.book)

    def quote(self, day: date) -> Quote | Refusal:
        return quote_cancellation(self.state, day, self.now, self.book)

    def present_name(self) -> dict[str, str]:
        """Return the account in the form of a command; an erased subscription gets another name."""
        account = self.state.account
        return {account.kind.lower(): account.name} if account else {"group": "erased"}

    def _happens(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.timeline.append(timeline_entry(event, self.state))
        self.ledger.extend(event.lines)
