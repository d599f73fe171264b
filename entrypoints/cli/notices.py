"""`worksub notices`."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.options import AfterNumber, AsJson, PageSize, SubscriptionFilter, one_of
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from subscription.notice_outbox import OutboxNotice

app = typer.Typer(help="Show sent and waiting notices.", no_args_is_help=True)
PANEL = "Run the service"


def _states() -> list[str]:
    from subscription.notice_outbox import NoticeState

    return list(NoticeState)


@app.command("list")
def list_notices(
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            parser=one_of(_states),
            autocompletion=_states,
            metavar="STATE",
            help="WAITING, UNDELIVERABLE, …",
        ),
    ] = None,
    subscription: SubscriptionFilter = None,
    limit: PageSize = 50,
    after: AfterNumber = 0,
    as_json: AsJson = False,
) -> None:
    """List notices by number, oldest first."""
    from subscription.notice_outbox import NoticeState

    with Session() as session:
        subscription_id = None if subscription is None else session.resolve_existing_id(subscription)
        notices = session.run_query(
            lambda queries: queries.notices(
                state=NoticeState(state) if state else None,
                subscription_id=subscription_id,
                after=after,
                limit=limit + 1,
            )
        )
    page = notices[:limit]
    last = page[-1].number if len(notices) > limit else None
    show(as_json, {"notices": page, "next_cursor": last}, lambda: _view(page, last))


@app.command("show")
def show_notice(
    number: Annotated[
        int,
        typer.Argument(
            metavar="NUMBER", help="Number of the notice, as shown by `list`.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show a notice with its email."""
    from entrypoints.cli.views.notices import notice_view

    with Session() as session:
        notice = session.run_query(lambda queries: queries.notice(number))
    show(as_json, notice, lambda: notice_view(notice))


def _view(notices: "list[OutboxNotice]", last: int | None) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.notices import notices_table

    if not notices:
        return Text("There are no notices.")
    return Group(notices_table(notices), *([Text(f"There are more: add --after {last}")] if last else []))
