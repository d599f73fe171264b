"""Bulk runs: one command for many subscriptions, each with its own result."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Annotated, Any

from pydantic import Field

from subscription.business_calendar import Day, Instant
from subscription.commands import (
    Cancel,
    ChangeRenewalOption,
    Command,
    SwitchToPaid,
    Upgrade,
    WithdrawReservation,
    expand_null,
    parse_command,
)
from subscription.ids import opaque_id_pattern
from subscription.model import Frozen, Wire
from subscription.refusals import Problem, Refusal, RefusalCode

BULK_COMMANDS: Mapping[str, type[Command]] = {
    command.name: command
    for command in (SwitchToPaid, ChangeRenewalOption, Upgrade, Cancel, WithdrawReservation)
}
"""The commands whose input is the same for every subscription."""

MOST_SUBSCRIPTIONS = 50_000
"""The largest list of a run."""
DEFAULT_RATE, HIGHEST_RATE = 10, 100
"""Commands a second."""

BULK_WORKFLOW_PREFIX = "bulk-"
"""The workflow ID of a run consists of this prefix and the run ID."""
PREVIEW_LENGTH = 16
UNKNOWN_CUSTOMER = ""
"""The customer of a subscription that does not exist."""
_SET_BY_THE_RUN = ("id", "by", "channel", "expects", "at", "confirmation")
"""Fields of a command that a run sets itself, for each subscription."""

Rate = Annotated[int, Field(ge=1, le=HIGHEST_RATE)]
RunId = Annotated[str, Field(pattern=opaque_id_pattern())]


class BulkState(StrEnum):
    """The state of a run."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    """Stopped by an operator; the subscriptions without an outcome get no command."""
    COMPLETED = "COMPLETED"

    @property
    def has_ended(self) -> bool:
        return self in (BulkState.STOPPED, BulkState.COMPLETED)


class BulkOutcome(StrEnum):
    """The result for one subscription."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    UNANSWERED = "UNANSWERED"
    """Its workflow did not answer, so the command may still be accepted; `code` has the reason."""


class BulkEffect(Frozen):
    """The effect of the command on one subscription, from the rules, before the run.

    `code` is that of the refusal, None if the command is accepted. `sequence` and `date` are the state and
    the day of the preview. `monthly_before` is the price of a whole month at today's rate, `monthly_after`
    that once the command has taken effect. `charge` is the early termination charge of a cancellation (R30).
    All amounts are whole KRW before VAT.
    """

    subscription_id: str
    customer_id: str
    sequence: int
    date: Day
    code: str | None = None
    monthly_before: int = 0
    monthly_after: int = 0
    charge: int = 0


class BulkPreview(Frozen):
    """The sums of a dry run. `preview` is the hash of all its effects, with which the run is started.

    `refused` counts the refusals by code. The amounts are the sums over the accepted subscriptions.
    `confirmation` is the text that starts a cancellation; None for other commands.
    """

    preview: str
    command: str
    subscriptions: int
    customers: int
    accepted: int
    refused: Mapping[str, int]
    monthly_before: int
    monthly_after: int
    charge: int
    confirmation: str | None


class BulkRun(Frozen):
    """A run and its progress. The amounts are the sums over the subscriptions accepted so far."""

    run_id: str
    command: str
    argument: Mapping[str, Any]
    state: BulkState
    rate: int
    issued_by: str | None
    started_at: Instant
    finished_at: Instant | None
    subscriptions: int
    accepted: int
    refused: int
    unanswered: int
    waiting: int
    monthly_before: int
    monthly_after: int
    charge: int


class BulkResult(Frozen):
    """The result for one subscription; `outcome` is None while it waits, and for ever in a stopped run."""

    position: int
    subscription_id: str
    customer_id: str
    outcome: BulkOutcome | None
    code: str | None
    monthly_before: int
    monthly_after: int
    charge: int
    completed_at: Instant | None


class BulkInput(Wire):
    """Input of a workflow run. Later runs of the same workflow continue after a position."""

    run_id: RunId
    after: int = 0
    rate: Rate = DEFAULT_RATE
    state: Annotated[BulkState, Field(strict=False)] = BulkState.RUNNING


class BulkReport(Frozen):
    """The result of the workflow."""

    summary: str
    state: BulkState


class LoadBulkItems(Frozen):
    """Load the next subscriptions of a run that have no outcome yet."""

    run_id: str
    after: int
    limit: int


class BulkItem(Frozen):
    """A subscription of a run. `customer_id` is the fairness key of its command."""

    position: int
    customer_id: str


class BulkItems(Frozen):
    items: tuple[BulkItem, ...]


class SendBulkCommand(Frozen):
    """Send the command of a run to the subscription at this position, and store its outcome."""

    run_id: str
    position: int


class BulkCommandSent(Frozen):
    outcome: BulkOutcome


class RecordBulkState(Frozen):
    run_id: str
    state: BulkState


class BulkProgress(Frozen):
    """The number of subscriptions of a run, and how many have each outcome."""

    subscriptions: int
    outcomes: Mapping[BulkOutcome, int]

    @property
    def summary(self) -> str:
        done = sum(self.outcomes.values())
        parts = [f"{count:,} {outcome.lower()}" for outcome, count in self.outcomes.items() if count]
        return f"{done:,} of {self.subscriptions:,} done{': ' + ', '.join(parts) if parts else ''}."


def command_id(run_id: str) -> str:
    """Return the ID of a run's commands. With the subscription, it is the key of each command (R22)."""
    return f"{BULK_WORKFLOW_PREFIX}{run_id}"


def parse_bulk_command(name: str, argument: object) -> Command | Refusal:
    """Parse the command of a run. Its confirmation is a placeholder: each subscription has its own."""
    if name not in BULK_COMMANDS:
        return Refusal.of(RefusalCode.UNKNOWN_COMMAND, "command", commands=tuple(BULK_COMMANDS))
    argument = expand_null(name, argument)
    if isinstance(argument, Mapping):
        if unknown := [field for field in _SET_BY_THE_RUN if field in argument]:
            problems = [Problem.of(RefusalCode.UNKNOWN_FIELD, field) for field in unknown]
            return Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems)
        if name == Cancel.name:
            argument = {**argument, "confirmation": ""}
    return parse_command(name, argument, without=_SET_BY_THE_RUN)


def argument_of(command: Command) -> Mapping[str, Any]:
    """Return the argument from which `parse_bulk_command` reads this command."""
    return command.model_dump(mode="json", exclude_unset=True, exclude=set(_SET_BY_THE_RUN))


def in_turns(effects: Iterable[BulkEffect]) -> tuple[BulkEffect, ...]:
    """Return the effects in the order of a run: one subscription of each customer, then one more of each.

    A customer with one subscription therefore does not wait for another one with thousands.
    """
    by_customer: dict[str, list[BulkEffect]] = defaultdict(list)
    for effect in sorted(effects, key=lambda effect: (effect.customer_id, effect.subscription_id)):
        by_customer[effect.customer_id].append(effect)
    turns = zip_longest(*by_customer.values())
    return tuple(effect for turn in turns for effect in turn if effect is not None)


def preview_of(command: Command, revision: int, effects: Sequence[BulkEffect]) -> BulkPreview:
    """Return the sums of a dry run. The hash covers the command, the price book and every effect."""
    content = [f"{command.name} {command.fingerprint()} {revision}", *(e.model_dump_json() for e in effects)]
    accepted = [effect for effect in effects if effect.code is None]
    return BulkPreview(
        preview=hashlib.sha256("\n".join(content).encode()).hexdigest()[:PREVIEW_LENGTH],
        command=command.name,
        subscriptions=len(effects),
        customers=len({effect.customer_id for effect in effects} - {UNKNOWN_CUSTOMER}),
        accepted=len(accepted),
        refused=dict(sorted(Counter(effect.code for effect in effects if effect.code).items())),
        monthly_before=sum(effect.monthly_before for effect in accepted),
        monthly_after=sum(effect.monthly_after for effect in accepted),
        charge=sum(effect.charge for effect in accepted),
        confirmation=f"cancel {len(accepted)}" if isinstance(command, Cancel) else None,
    )
