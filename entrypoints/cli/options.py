"""Shared arguments and options."""

from datetime import date, datetime
from typing import Annotated

import typer

SubscriptionId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The subscription's id or the beginning of it, or its account.",
        show_default=False,
    ),
]
"""`Session.subscription` returns the id that it means."""
OfSubscription = Annotated[
    str | None,
    typer.Option("--subscription", metavar="ID", help="Of one subscription, by its id or account."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, errors too.")]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Print it again at every change, until the subscription has ended or Ctrl-C. With --json, one "
        "document a change.",
    ),
]
CommandId = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="TEXT", help="A name for this command: sent again under it, nothing is done twice."
    ),
]
AskedBy = Annotated[
    str | None,
    typer.Option("--by", metavar="TEXT", help="Who asks; kept with the subscription until erasure."),
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for an answer.")
]
DEFAULT_TIMEOUT = 30.0


RELATIVE_DAYS = {"today": 0, "tomorrow": 1}
"""Words for a date, by the subscription's own clock."""


def _date(text: str) -> str:
    """A calendar date as text; `today` and `tomorrow` wait for the subscription's own clock."""
    if text not in RELATIVE_DAYS:
        try:
            if date.fromisoformat(text).isoformat() != text:
                raise ValueError
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is not a date; write it as 2027-01-31, or today or tomorrow."
            ) from None
    return text


def _moment(text: str) -> str:
    """A calendar date, or a date and time with its offset, as text."""
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


def _term(text: str) -> str:
    from subscription.contract import ContractTerm

    try:
        return ContractTerm(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(ContractTerm)}.") from None


def _quote_of(text: str) -> str:
    from subscription.forecast import QuoteKind

    try:
        return QuoteKind(text.lower())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(QuoteKind)}.") from None


def _state(text: str) -> str:
    from subscription.state import State

    try:
        return State(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(State)}.") from None


def _access(text: str) -> str:
    from subscription.state import Access

    try:
        return Access(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(Access)}.") from None


def _terms() -> list[str]:
    from subscription.contract import ContractTerm

    return list(ContractTerm)


def _accesses() -> list[str]:
    from subscription.state import Access

    return list(Access)


def _quotable() -> list[str]:
    from subscription.forecast import QuoteKind

    return list(QuoteKind)


def _states() -> list[str]:
    from subscription.state import State

    return list(State)


_DATE = typer.Option("--date", parser=_date, metavar="DATE", help="As 2027-01-31, or today or tomorrow.")
Date = Annotated[str, _DATE]
OptionalDate = Annotated[str | None, _DATE]
QuotedChange = Annotated[
    str,
    typer.Option(
        "--of",
        parser=_quote_of,
        autocompletion=_quotable,
        metavar="cancellation|switch|upgrade",
        help="What is quoted.",
    ),
]
Moment = Annotated[
    str,
    typer.Argument(
        parser=_moment,
        metavar="DATE|INSTANT",
        help="As 2027-01-31 (its start in Korea) or 2027-01-31T09:00:00+09:00.",
        show_default=False,
    ),
]
_TERM = typer.Option(
    "--term", parser=_term, autocompletion=_terms, metavar="MONTHLY|ANNUAL", help="The contract's term."
)
Term = Annotated[str, _TERM]
OptionalTerm = Annotated[str | None, _TERM]
StateFilter = Annotated[
    str | None,
    typer.Option("--state", parser=_state, autocompletion=_states, metavar="STATE", help="TRIAL, ACTIVE, …"),
]
AccessFilter = Annotated[
    str | None,
    typer.Option(
        "--access",
        parser=_access,
        autocompletion=_accesses,
        metavar="ACCESS",
        help="FULL, RESTRICTED or NONE.",
    ),
]
PageSize = Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many at most.")]
AfterNumber = Annotated[
    int, typer.Option("--after", min=0, metavar="NUMBER", help="Go on after this number.")
]
Plan = Annotated[str | None, typer.Option("--plan", help="A plan of the catalogue, as lite or basic.")]
Members = Annotated[int | None, typer.Option("--members", min=1, help="How many members.")]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="A group name, as acme.")]
Domain = Annotated[str | None, typer.Option("--domain", metavar="NAME", help="A domain, as acme.co.kr.")]
