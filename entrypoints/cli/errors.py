"""Command errors and exit codes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subscription.refusals import Refusal


class ExitCode(IntEnum):
    """Exit codes; a stable interface for scripts."""

    DONE = 0
    REFUSED = 1
    """A business rule refused the command."""
    USAGE = 2
    """An option, a file or a setting is invalid."""
    UNAVAILABLE = 3
    """A service is unreachable or does not answer in time."""
    INTERNAL_ERROR = 70
    """A bug in worksub."""
    INTERRUPTED = 130
    CUT_OFF = 141
    """The reader of the output closed it early, as `head -1` does. The command itself was executed."""


@dataclass(eq=False)
class CommandError(Exception):
    """An error that ends the command. `advice` is the next step for the user."""

    exit_code: ExitCode
    code: str
    message: str
    field: str | None = None
    reason: str | None = None
    parameters: Mapping[str, Any] = dataclass_field(default_factory=dict)
    problems: Sequence[Mapping[str, Any]] = ()
    advice: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "reason": self.reason,
                "parameters": self.parameters,
                "field": self.field,
                "problems": list(self.problems),
            }
        }


def usage_error(message: str, *, field: str | None = None, advice: str | None = None) -> CommandError:
    return CommandError(ExitCode.USAGE, "USAGE", message, field=field, advice=advice)


def check_standard_input(names: Mapping[str, bool]) -> None:
    """Raise `CommandError` if more than one of the options and arguments reads standard input."""
    readers = [name for name, reads in names.items() if reads]
    if len(readers) > 1:
        raise usage_error(
            f"{' and '.join(readers)} cannot both read standard input.",
            field=readers[-1].removeprefix("--"),
        )


def unavailable(code: str, message: str, *, advice: str | None = None) -> CommandError:
    return CommandError(ExitCode.UNAVAILABLE, code, message, advice=advice)


def refusal(refused: "Refusal") -> CommandError:
    """Return a refusal as a `CommandError`, with all problems and the next step."""
    # KEY_UNKNOWN: the command and the service have different encryption keys. No business rule refused it.
    exit_code = ExitCode.UNAVAILABLE if refused.code == "KEY_UNKNOWN" else ExitCode.REFUSED
    return CommandError(
        exit_code,
        refused.code,
        refused.message,
        field=refused.field,
        reason=refused.reason,
        parameters=dict(refused.parameters),
        problems=[problem.model_dump(mode="json") for problem in refused.problems],
        advice=ADVICE.get(f"{refused.code}.{refused.reason}", ADVICE.get(refused.code)),
    )


@contextmanager
def convert_refusals() -> Iterator[None]:
    """Convert refusals of the business rules to `CommandError`."""
    from subscription.refusals import RefusalError

    try:
        yield
    except RefusalError as error:
        raise refusal(error.refused) from None


# Next step by refusal code, or by code and reason. Codes without an entry have a self-explanatory message.
ADVICE = {
    "ALREADY_PAID": "See `worksub upgrade --help` and `worksub renewal --help`.",
    "CANCELLATION_RESERVED": "Withdraw it with `worksub withdraw ID`.",
    "COMMAND_ID_REUSED": "Use another --id, or omit it.",
    "CONFIRMATION_DIFFERS": "`worksub status ID` shows the account.",
    "CONFIRMATION_DIFFERS.BULK": "Add it with --confirm.",
    "DATA_ERASED": "`worksub status ID` shows the erasure certificate.",
    "LINE_NOT_FOUND": "A key is the charge and its first day in `worksub ledger ID`: SERVICE_FEE/2027-01-01.",
    "NAME_TAKEN": "To check another name, run `worksub check-name`.",
    "NOTHING_ON_SALE": "To publish the catalogue, run `worksub setup`.",
    "NOT_YET_PAID": "Switch first: `worksub switch ID --date today --term ANNUAL`.",
    "PREVIEW_OUTDATED": "Run `worksub catalogue preview FILE` again.",
    "PREVIEW_OUTDATED.BULK": "Run the command with --dry-run again.",
    "SUBSCRIPTION_NOT_FOUND": "`worksub list` shows the ids and accounts of all subscriptions.",
    "SWITCH_RESERVED": "Withdraw it with `worksub withdraw ID`.",
    "TOO_MANY_TRIALS": "`worksub list --customer ID` shows the customer's subscriptions.",
}
