"""The commands that a subscription accepts, and their parsing from JSON."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from subscription.account import AccountName
from subscription.business_calendar import Day, Instant
from subscription.contract import MembersField, PlanField, RenewalTerms, TermField
from subscription.issuer import MAX_NAME, Channel, Issuer
from subscription.model import Wire
from subscription.refusals import Problem, Refusal, RefusalCode, join_problems, validation_error
from subscription.request import TermAgreement
from subscription.validation import has_control_characters, has_too_many_values, parse_strict, problems_from

_ModelT = TypeVar("_ModelT", bound=Wire)


def is_command_id(value: str) -> bool:
    return 1 <= len(value) <= 200 and all("!" <= character <= "~" for character in value)


def _command_id(value: str) -> str:
    if not is_command_id(value):
        raise validation_error(RefusalCode.INVALID_ID, reason="COMMAND")
    return value


def _validate_actor(value: str) -> str:
    if has_control_characters(value):
        raise validation_error(RefusalCode.INVALID_VALUE, reason="INVISIBLE")
    return value


class Expected(Wire):
    """The state, day and prices of a caller's preview. The command is refused if any of them has changed.

    `sequence` is the number of the last event. `revision` is the number of published catalogue versions.
    """

    sequence: Annotated[int, Field(ge=0)]
    date: Day
    revision: Annotated[int, Field(ge=0)] | None = None


class Command(Wire):
    """The fields that all commands have.

    `id` is the idempotency key (R22). `by` names the person or system that issues the command. `channel` is
    set by the interface that sends it. `expects` is the state of the caller's preview. `at` is the time of a
    simulation and is ignored otherwise.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    id: Annotated[str, AfterValidator(_command_id)] | None = None
    by: Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_validate_actor)] | None = None
    channel: SkipJsonSchema[Annotated[Channel, Field(strict=False)] | None] = None
    expects: SkipJsonSchema[Expected | None] = None
    at: Instant | None = None

    @property
    def issuer(self) -> Issuer:
        return Issuer(channel=self.channel or Channel.TEMPORAL, by=self.by)

    def fingerprint(self) -> str:
        """Return a hash of the command's fields. It distinguishes a repeated command from an ID reused."""
        body = self.model_dump(mode="json", exclude={"id", "by", "channel", "expects", "at"})
        return hashlib.sha256(json.dumps([self.name, body], sort_keys=True).encode()).hexdigest()[:16]


class SwitchToPaid(Command):
    name = "switch_to_paid"
    title = "Switch to a paid plan, today or on a reserved date (R16)"

    date: Day
    term: TermField
    plan: PlanField | None = None
    members: MembersField | None = None


class ChangeRenewalOption(Command):
    """The terms of the next contract, or `{"term": null}` for no option (R24).

    As the argument of a Temporal update or signal, a bare `null` also means no option.
    """

    name = "change_renewal_option"
    title = "Choose the terms of the next contract, or none (R24)"

    term: TermField | None
    plan: PlanField | None = None
    members: MembersField | None = None

    @model_validator(mode="after")
    def _none_has_no_terms(self) -> Self:
        if self.term is None and (self.plan is not None or self.members is not None):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="TERM_MISSING")
        return self

    @property
    def option(self) -> RenewalTerms | None:
        if self.term is None:
            return None
        return RenewalTerms(term=self.term, plan=self.plan, members=self.members)


class Upgrade(Command):
    name = "upgrade"
    title = "Upgrade now to a higher plan, more members or an annual contract (R25)"

    plan: PlanField | None = None
    members: MembersField | None = None
    term: TermField | None = None
    agreed_terms: Annotated[tuple[TermAgreement, ...], Field(strict=False)]


class Cancel(Command):
    name = "cancel"
    title = "Cancel today or on a reserved date; all data will be permanently deleted (R27)"

    date: Day
    confirmation: Annotated[str, Field(max_length=300)]


class WithdrawReservation(Command):
    name = "withdraw_reservation"
    title = "Withdraw the reserved switch or cancellation (R29)"


class RenameAccount(AccountName, Command):
    """`{"group": …}` or `{"domain": …}` (R10)."""

    name = "rename_account"
    title = "Change the group name or domain name (R10)"


class CheckDomain(Command):
    """Check the domain's verification records now, ahead of the check schedule (R13)."""

    name = "check_domain"
    title = "Check the domain verification records now (R13)"


class QuoteCancellation(Wire):
    """The argument of the `quote_cancellation` query (R28). `at` is the time of the query; default: now."""

    date: Day
    at: Instant | None = None


COMMANDS: Mapping[str, type[Command]] = {
    command.name: command
    for command in (
        SwitchToPaid,
        ChangeRenewalOption,
        Upgrade,
        Cancel,
        WithdrawReservation,
        RenameAccount,
        CheckDomain,
    )
}


_NULL_EXPANSIONS: Mapping[str, Mapping[str, None]] = {
    ChangeRenewalOption.name: {"term": None},
    WithdrawReservation.name: {},
    CheckDomain.name: {},
}


def parse_command(name: str, argument: object, *, without: Collection[str] = ()) -> Command | Refusal:
    """Parse a caller's command; return a refusal with all problems if it is invalid.

    `without` are the fields that the caller's interface does not accept. Messages do not offer them.
    """
    model = COMMANDS.get(name)
    if model is None:
        return Refusal.of(RefusalCode.UNKNOWN_COMMAND, commands=tuple(COMMANDS))
    return _read(model, expand_null(name, argument), without)


def expand_null(name: str, argument: object) -> object:
    """Return the argument; for a command that accepts `null`, return the object that `null` stands for."""
    return _NULL_EXPANSIONS.get(name) if argument is None else argument


def parse_quote(argument: object) -> QuoteCancellation | Refusal:
    """Parse the argument of a quote; return a refusal with all problems if it is invalid."""
    return _read(QuoteCancellation, argument)


def _read(model: type[_ModelT], argument: object, without: Collection[str] = ()) -> _ModelT | Refusal:
    if not isinstance(argument, Mapping):
        return Refusal.of(RefusalCode.INVALID_ARGUMENT, reason="NOT_AN_OBJECT")
    if has_too_many_values(argument):
        return Refusal.of(RefusalCode.INVALID_ARGUMENT, reason="TOO_MUCH")
    try:
        return parse_strict(model, argument)
    except ValidationError as error:
        problems = problems_from(error)
        return Refusal.of_problems(
            RefusalCode.INVALID_ARGUMENT,
            problems,
            message=_message(problems, model, without),
        )


def _message(problems: Sequence[Problem], model: type[Wire], without: Collection[str]) -> str:
    """Return the messages of all problems.

    They may be stored, so they leave out unknown field names, which may be personal data.
    """
    named = [problem for problem in problems if problem.code != RefusalCode.UNKNOWN_FIELD]
    parts = [join_problems(named)] if named else []
    if len(named) < len(problems):
        known = ", ".join(name for name in model.model_fields if name not in without)
        parts.append(f"There is an unknown field. Known fields: {known}.")
    return " ".join(parts)
