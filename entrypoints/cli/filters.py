"""Filters of `worksub list` and `worksub bulk`, which select subscriptions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import one_of


def _accesses() -> list[str]:
    from subscription.state import Access

    return list(Access)


def _states() -> list[str]:
    from subscription.state import State

    return list(State)


def _filter_names() -> list[str]:
    from starter.filters import NAMED_FILTERS

    return list(NAMED_FILTERS)


NamedFilterArgument = Annotated[
    str | None,
    typer.Argument(
        parser=one_of(_filter_names),
        autocompletion=_filter_names,
        metavar="WHICH",
        show_default=False,
        help="Named filter: trials-ending or reservations-due (this week), contracts-ending (this "
        "month), suspended, restricted (domain not verified), over-seats (more members than seats) or "
        "needs-attention.",
    ),
]
NamedFilterOption = Annotated[
    str | None,
    typer.Option(
        "--which",
        parser=one_of(_filter_names),
        autocompletion=_filter_names,
        metavar="NAME",
        help="Named filter of `worksub list`, such as restricted.",
    ),
]
VisibilityQuery = Annotated[
    str | None,
    typer.Option("--query", metavar="QUERY", help="Visibility query, such as 'Plan = \"basic\"'."),
]
StateFilter = Annotated[
    str | None,
    typer.Option(
        "--state",
        parser=one_of(_states),
        autocompletion=_states,
        metavar="STATE",
        help="State, such as TRIAL or ACTIVE.",
    ),
]
AccessFilter = Annotated[
    str | None,
    typer.Option(
        "--access",
        parser=one_of(_accesses),
        autocompletion=_accesses,
        metavar="ACCESS",
        help="FULL, RESTRICTED or NONE.",
    ),
]
CustomerFilter = Annotated[str | None, typer.Option("--customer", metavar="ID", help="Only this customer.")]


def check_not_empty(**filters: str | None) -> None:
    """Raise `CommandError` for an empty filter, such as an unset variable of a script."""
    for option, text in filters.items():
        if text is not None and not text.strip():
            raise usage_error(f"--{option} is empty. Omit it to select all subscriptions.", field=option)


@contextmanager
def convert_invalid_query() -> Iterator[None]:
    """Convert Temporal's rejection of a visibility query."""
    from starter.search import InvalidQueryError

    try:
        yield
    except InvalidQueryError as error:
        raise CommandError(
            ExitCode.USAGE,
            "INVALID_QUERY",
            f"Temporal cannot read the query: {error}.",
            field="query",
            advice="For names and examples, see docs/operations.md.",
        ) from None
