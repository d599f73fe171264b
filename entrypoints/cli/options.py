"""Shared arguments and options."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Annotated

import typer

SubscriptionId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Subscription ID, a prefix of it, or the account.",
        show_default=False,
    ),
]
"""`Session.resolve_id` returns the full subscription ID."""
SubscriptionFilter = Annotated[
    str | None,
    typer.Option("--subscription", metavar="ID", help="Only this subscription, by ID or account."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, including errors.")]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Print every change until the subscription ends or Ctrl-C. "
        "With --json, one document per change.",
    ),
]
CommandId = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="TEXT",
        help="Idempotency key: repeating a command with the same key has no effect.",
    ),
]
IssuedBy = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="TEXT",
        help="Name of the person or system issuing the command. Stored until the subscription is erased.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Maximum time to wait for a response.")
]
DEFAULT_TIMEOUT = 30.0


RELATIVE_DAYS = {"today": 0, "tomorrow": 1}
"""Relative dates by the subscription's clock, as days from today."""


def _date(text: str) -> str:
    """Validate a calendar date. `today` and `tomorrow` are resolved later by the subscription's clock."""
    if text not in RELATIVE_DAYS:
        try:
            if date.fromisoformat(text).isoformat() != text:
                raise ValueError
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is not a date. Use the format 2027-01-31, or today or tomorrow."
            ) from None
    return text


def _moment(text: str) -> str:
    """Validate a calendar date, or a date and time with an offset from UTC."""
    try:
        if datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass
    try:
        return _date(text)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is neither a date such as 2027-01-31 nor a time such as 2027-01-31T09:00:00+09:00."
        ) from None


def one_of(values: Callable[[], Iterable[str]]) -> Callable[[str], str]:
    """Return the parser of an option with one of these values, in upper or lower case.

    `values` imports them, because only a use of the option needs them.
    """

    def parse(text: str) -> str:
        known = list(values())
        for value in known:
            if value.lower() == text.lower():
                return value
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(known)}.")

    return parse


def _terms() -> list[str]:
    from subscription.contract import ContractTerm

    return list(ContractTerm)


def _quote_kinds() -> list[str]:
    from subscription.forecast import QuoteKind

    return list(QuoteKind)


_DATE = typer.Option(
    "--date", parser=_date, metavar="DATE", help="Date such as 2027-01-31, or today or tomorrow."
)
Date = Annotated[str, _DATE]
OptionalDate = Annotated[str | None, _DATE]
QuotedChange = Annotated[
    str,
    typer.Option(
        "--of",
        parser=one_of(_quote_kinds),
        autocompletion=_quote_kinds,
        metavar="cancellation|switch|upgrade",
        help="The change to quote.",
    ),
]
Instant = Annotated[
    str,
    typer.Argument(
        parser=_moment,
        metavar="DATE|INSTANT",
        help="Date such as 2027-01-31 (00:00 in Korea), or instant such as 2027-01-31T09:00:00+09:00.",
        show_default=False,
    ),
]
_TERM = typer.Option(
    "--term",
    parser=one_of(_terms),
    autocompletion=_terms,
    metavar="MONTHLY|ANNUAL",
    help="Contract term.",
)
Term = Annotated[str, _TERM]
OptionalTerm = Annotated[str | None, _TERM]
PageSize = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Maximum number of results.")]
AfterNumber = Annotated[
    int, typer.Option("--after", min=0, metavar="NUMBER", help="Continue after this number.")
]
Plan = Annotated[str | None, typer.Option("--plan", help="Plan of the catalogue, such as lite or basic.")]
Members = Annotated[int | None, typer.Option("--members", min=1, help="Number of members.")]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Group name, such as acme.")]
Domain = Annotated[
    str | None, typer.Option("--domain", metavar="NAME", help="Domain name, such as acme.co.kr.")
]
