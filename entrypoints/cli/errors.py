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
    """What scripts may rely on."""

    DONE = 0
    REFUSED = 1
    """The rules said no."""
    USAGE = 2
    """The command cannot be understood: an option, a file."""
    UNAVAILABLE = 3
    """A service cannot be reached, or does not answer."""
    FAULT = 70
    """A fault of worksub itself."""
    INTERRUPTED = 130
    CUT_OFF = 141
    """Whoever read the answer has stopped before its end; what was asked has been done."""


@dataclass(eq=False)
class CommandError(Exception):
    """The command ends here. `advice` says to a person what to do next."""

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
            f"{' and '.join(readers)} would both read standard input, which can be read once.",
            field=readers[-1].removeprefix("--"),
        )


def unavailable(code: str, message: str, *, advice: str | None = None) -> CommandError:
    return CommandError(ExitCode.UNAVAILABLE, code, message, advice=advice)


def refusal(refused: "Refusal") -> CommandError:
    """The rules' refusal, with everything that is wrong and what would help."""
    # The command and the service do not have the same keys: no rule has said no.
    exit_code = ExitCode.UNAVAILABLE if refused.code == "KEY_UNKNOWN" else ExitCode.REFUSED
    return CommandError(
        exit_code,
        refused.code,
        refused.message,
        field=refused.field,
        reason=refused.reason,
        parameters=dict(refused.parameters),
        problems=[problem.model_dump(mode="json") for problem in refused.problems],
        advice=ADVICE.get(refused.code),
    )


@contextmanager
def refusals_reported() -> Iterator[None]:
    """Refusals of the rules leave this block as errors of the command."""
    from subscription.refusals import RefusalError

    try:
        yield
    except RefusalError as error:
        raise refusal(error.refused) from None


# By the refusal's code; what is not here says all that there is to say by itself.
ADVICE = {
    "ALREADY_PAID": "See `worksub upgrade --help` and `worksub renewal --help`.",
    "CANCELLATION_RESERVED": "Withdraw it with `worksub withdraw ID`.",
    "COMMAND_ID_REUSED": "Send another --id, or none.",
    "CONFIRMATION_DIFFERS": "`worksub status ID` shows the account.",
    "LINE_NOT_FOUND": "A key is a charge and its first day in `worksub ledger ID`: SERVICE_FEE/2027-01-01.",
    "NAME_TAKEN": "`worksub check-name` says whether a name is free.",
    "NOTHING_ON_SALE": "`worksub setup` publishes the catalogue.",
    "NOT_YET_PAID": "Switch first: `worksub switch ID --date today --term ANNUAL`.",
    "SUBSCRIPTION_NOT_FOUND": "`worksub list` shows the ids and accounts of all subscriptions.",
    "SWITCH_RESERVED": "Withdraw it with `worksub withdraw ID`.",
}
