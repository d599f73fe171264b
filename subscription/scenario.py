"""Scenarios: scripted subscriptions, run against the rules alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from subscription.apply import apply
from subscription.business_calendar import Instant, day_of
from subscription.catalogue import PriceBook, required_terms
from subscription.commands import COMMANDS, CheckDomain, Command, parse_command
from subscription.deadlines import Deadline, next_deadline
from subscription.decide import Decision, ExternalFacts, decide, start_trial
from subscription.due_events import next_due_event
from subscription.events import Event
from subscription.idempotency import ID_REUSED, REMEMBERED_FOR, Known, RecentCommands
from subscription.ledger import LedgerLine
from subscription.model import Frozen, Wire
from subscription.password_hash_policy import PLACEHOLDER
from subscription.refusals import Problem, Refusal, RefusalCode, join_problems, validation_error
from subscription.request import Request, parse_request
from subscription.state import Access, State, Subscription, provisioning
from subscription.timeline import TimelineEntry, timeline_entry
from subscription.validation import parse_strict, problems_from

CONFIRM_DOMAIN = "confirm_domain"
LOSE_DOMAIN = "lose_domain"
DOMAIN_STEPS = (CONFIRM_DOMAIN, LOSE_DOMAIN)
"""Steps that set the result of a domain check: all pending domains are verified, by this subscription or by
another one. The service then executes the command `check_domain`."""

MEMBERS_IN_USE = "members_in_use"
STEPS = (*COMMANDS, *DOMAIN_STEPS, MEMBERS_IN_USE)
"""The steps of a scenario: the commands, and simulated facts of external systems."""

_MAX_MEMBERS_IN_USE = 1_000_000


class ScenarioError(Exception):
    """An invalid scenario, with all its problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(join_problems(problems))
        self.problems = problems


class ScenarioStep(Wire):
    """A step of a scenario. A command's argument is parsed only when it is executed, as by the service."""

    at: Instant
    command: str
    argument: Any

    @field_validator("argument")
    @classmethod
    def _check_count(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("command") == MEMBERS_IN_USE and not _is_count(value):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="NOT_A_COUNT", most=_MAX_MEMBERS_IN_USE)
        return value


def _is_count(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"count"}:
        return False
    count = value["count"]
    return type(count) is int and 1 <= count <= _MAX_MEMBERS_IN_USE


class Scenario(Wire):
    """A scripted subscription. `request` has only the given fields; the others get sample values."""

    model_config = ConfigDict(validate_by_name=False)

    name: Annotated[str, Field(strict=False, coerce_numbers_to_str=True, min_length=1, max_length=200)]
    starts_at: Annotated[Instant, Field(validation_alias="request.at")]
    request: Mapping[str, Any]
    steps: Annotated[tuple[ScenarioStep, ...], Field(strict=False)] = ()
    until: Instant

    @model_validator(mode="before")
    @classmethod
    def _extract_start(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("request"), dict):
            return data
        request = dict(data["request"])
        start = {"request.at": request.pop("at")} if "at" in request else {}
        return {**data, **start, "request": request}

    @field_validator("steps", mode="before")
    @classmethod
    def _read_steps(cls, value: Any) -> Any:
        if value is None:
            return ()
        if not isinstance(value, list):
            return value
        return [_step(entry) for entry in value]

    @field_validator("steps")
    @classmethod
    def _in_time_order(
        cls, value: tuple[ScenarioStep, ...], info: ValidationInfo
    ) -> tuple[ScenarioStep, ...]:
        last = info.data.get("starts_at")
        for number, step in enumerate(value, start=1):
            if last and step.at < last:
                raise validation_error(RefusalCode.INVALID_VALUE, reason="NOT_IN_TIME_ORDER", number=number)
            last = step.at
        return value

    @model_validator(mode="after")
    def _end_last(self) -> Self:
        if self.until < max((step.at for step in self.steps), default=self.starts_at):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="AFTER_THE_END")
        return self


def _step(entry: Any) -> Any:
    commands = [key for key in entry if key != "at"] if isinstance(entry, dict) else []
    if len(commands) != 1 or commands[0] not in STEPS:
        raise validation_error(RefusalCode.INVALID_VALUE, reason="NOT_A_STEP", commands=STEPS)
    argument = entry[commands[0]]
    if isinstance(argument, dict) and "at" in argument:
        raise validation_error(RefusalCode.INVALID_VALUE, reason="AT_BESIDE")
    return {"at": entry.get("at"), "command": commands[0], "argument": argument}


def read_scenario(data: object) -> Scenario:
    """Parse a scenario; raises `ScenarioError`."""
    try:
        return parse_strict(Scenario, data)
    except ValidationError as error:
        raise ScenarioError(problems_from(error)) from None


class CommandOutcome(Frozen):
    at: Instant
    command: str
    accepted: bool
    code: str | None
    message: str


class FinalState(Frozen):
    state: State
    access: Access
    next: Deadline | None


class ScenarioResult(Frozen):
    """The result of a scenario. The rules alone and the running service produce the same document."""

    name: str
    outcomes: tuple[CommandOutcome, ...]
    timeline: tuple[TimelineEntry, ...]
    ledger: tuple[LedgerLine, ...]
    final: FinalState

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(
            mode="json",
            exclude={
                "timeline": {"__all__": {"sequence", "message"}},
                "ledger": {"__all__": {"pieces", "percent"}},
            },
        )


def sample_request(scenario: Scenario, book: PriceBook, request_id: str) -> dict[str, Any]:
    """Return the scenario's request, with valid sample values for the missing fields."""
    catalogue = book.in_force(day_of(scenario.starts_at))
    return {
        "request_id": request_id,
        "customer_id": "sample-customer",
        "region": "KR",
        "platform": "VPC",
        "plan": next(iter(catalogue.plans)) if catalogue else "none",
        "members": 1,
        "agreed_terms": agreed_terms(book, scenario.starts_at),
        "account": {"group": "sample"},
        "admin_id": "admin",
        "password_hash": PLACEHOLDER,
        "company_name": "Sample Company",
        "company_phone": "02-1234-5678",
        **scenario.request,
    }


def agreed_terms(book: PriceBook, at: datetime) -> list[dict[str, str]]:
    """Return agreements to all required terms of the catalogue in force at `at` (R3)."""
    catalogue = book.in_force(day_of(at))
    return [{"id": t.id, "version": t.version} for t in required_terms(catalogue)] if catalogue else []


def confirmation_in(state: Subscription, known: str = "") -> str:
    """Return the confirmation of a cancellation; after erasure return `known`, the last one before it."""
    return state.admin_account or known


def with_default_arguments(step: ScenarioStep, book: PriceBook, confirmation: str) -> Any:
    """Return a step's argument, completed with the confirmation and the agreement to the terms."""
    if not isinstance(step.argument, Mapping):
        return step.argument
    if step.command == "cancel" and "confirmation" not in step.argument:
        return {**step.argument, "confirmation": confirmation}
    if step.command == "upgrade" and "agreed_terms" not in step.argument:
        return {**step.argument, "agreed_terms": agreed_terms(book, step.at)}
    return step.argument


def outcome(step: ScenarioStep, decision: Decision | Refusal) -> CommandOutcome:
    refused = isinstance(decision, Refusal)
    return CommandOutcome(
        at=step.at,
        command=step.command,
        accepted=not refused,
        code=decision.code if isinstance(decision, Refusal) else None,
        message=decision.message,
    )


def members_reported(step: ScenarioStep) -> CommandOutcome:
    """Return the outcome of a report of the members in use, which is never refused."""
    message = f"Members in use: {reported_members(step):,}."
    return CommandOutcome(at=step.at, command=step.command, accepted=True, code=None, message=message)


def reported_members(step: ScenarioStep) -> int:
    """Return the members in use that the product reports in this step, including the administrator (R36)."""
    count: int = step.argument["count"]
    return count


def refused_request(scenario: Scenario, refused: Refusal) -> ScenarioResult:
    """Return the result of a scenario whose request was refused; all its steps are also refused."""
    return ScenarioResult(
        name=scenario.name,
        outcomes=tuple(outcome(step, refused) for step in scenario.steps),
        timeline=(
            TimelineEntry(
                sequence=0,
                at=scenario.starts_at,
                event="REQUEST_REFUSED",
                state=State.REJECTED,
                message=refused.message,
            ),
        ),
        ledger=(),
        final=FinalState(state=State.REJECTED, access=Access.NONE, next=None),
    )


def simulate(scenario: Scenario, book: PriceBook, subscription_id: str) -> ScenarioResult:
    """Run a scenario against the rules alone."""
    request = parse_request(sample_request(scenario, book, subscription_id), book, scenario.starts_at)
    if isinstance(request, Refusal):
        return refused_request(scenario, request)
    return _ScenarioRun(subscription_id, request, scenario, book).run()


class _ScenarioRun:
    """The execution of a scenario by the rules alone."""

    def __init__(self, subscription_id: str, request: Request, scenario: Scenario, book: PriceBook) -> None:
        self._scenario, self._book = scenario, book
        self._state: Subscription = provisioning(subscription_id, request)
        self._timeline: list[TimelineEntry] = []
        self._ledger: list[LedgerLine] = []
        self._answers: dict[str | None, tuple[str, datetime, Decision]] = {}
        self._recent = RecentCommands()
        self._confirmation = ""
        self._members_in_use = 1  # the administrator
        catalogue = book.in_force(day_of(scenario.starts_at))
        assert catalogue is not None
        account = request.account.account
        self._apply_event(
            start_trial(scenario.starts_at, account, request.agreed_terms, catalogue, token="simulated")
        )

    def run(self) -> ScenarioResult:
        outcomes = [self._execute_step(step) for step in self._scenario.steps]
        self._advance_to(self._scenario.until)
        return ScenarioResult(
            name=self._scenario.name,
            outcomes=tuple(outcomes),
            timeline=tuple(self._timeline),
            ledger=tuple(self._ledger),
            final=FinalState(
                state=self._state.state, access=self._state.access, next=next_deadline(self._state)
            ),
        )

    def _execute_step(self, step: ScenarioStep) -> CommandOutcome:
        self._advance_to(step.at)
        if step.command == MEMBERS_IN_USE:
            self._members_in_use = reported_members(step)
            return members_reported(step)
        command = self._parse_command(step)
        return outcome(step, command if isinstance(command, Refusal) else self._execute(step, command))

    def _parse_command(self, step: ScenarioStep) -> Command | Refusal:
        if step.command in DOMAIN_STEPS:
            return parse_command(CheckDomain.name, step.argument)
        self._confirmation = confirmation_in(self._state, self._confirmation)
        argument = with_default_arguments(step, self._book, self._confirmation)
        return parse_command(step.command, argument)

    def _execute(self, step: ScenarioStep, command: Command) -> Decision | Refusal:
        original = self._original_answer(command, step.at)
        if original is not None:
            return original
        pending = tuple(domain.name for domain in self._state.pending_domains)
        facts = ExternalFacts(
            token="simulated",
            verified=pending if step.command == CONFIRM_DOMAIN else (),
            lost=pending if step.command == LOSE_DOMAIN else (),
            members_in_use=self._members_in_use,
        )
        decision = decide(self._state, command, step.at, self._book, facts)
        if isinstance(decision, Decision):
            for event in decision.events:
                self._apply_event(event)
            if command.id and decision.events:
                self._recent = self._recent.adding(command, step.at)
                self._answers[command.id] = command.fingerprint(), step.at, decision
        return decision

    def _original_answer(self, command: Command, now: datetime) -> Decision | Refusal | None:
        """Return the original response to this ID (R22). After the subscription's end, it never expires."""
        if command.id not in self._answers:
            return None
        fingerprint, accepted_at, original = self._answers[command.id]
        is_same = fingerprint == command.fingerprint()
        if self._state.state.is_terminal:
            return original if is_same else ID_REUSED
        match self._recent.known(command, now):
            case Refusal() as refused:
                return refused
            case Known.NEW:
                return None
            case _ if is_same:
                return original
            case _:
                return ID_REUSED if now - accepted_at < REMEMBERED_FOR else None

    def _advance_to(self, now: datetime) -> None:
        while event := next_due_event(self._state, now, self._book):
            self._apply_event(event)

    def _apply_event(self, event: Event) -> None:
        self._state = apply(self._state, event)
        self._timeline.append(timeline_entry(event, self._state))
        self._ledger.extend(event.lines)
