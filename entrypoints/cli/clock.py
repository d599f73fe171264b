"""`worksub clock`: advance a subscription's test clock."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.date_arguments import parse_instant, subscription_now
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Instant, SubscriptionId, Timeout
from entrypoints.cli.output import console, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.client import SubscriptionClient

app = typer.Typer()
clock = typer.Typer(help="Advance a subscription's test clock.")
app.add_typer(clock, name="clock", rich_help_panel="Testing")

# 100 years. The workflow processes each month of them, so a longer period takes too long.
_MAX_DAYS = 36_525


@clock.command()
def advance(
    subscription_id: SubscriptionId,
    days: Annotated[
        int,
        typer.Argument(metavar="[DAYS]", min=0, max=_MAX_DAYS, help="Number of days.", show_default=False),
    ] = 0,
    more_days: Annotated[int, typer.Option("--days", min=0, max=_MAX_DAYS, help="Number of days.")] = 0,
    hours: Annotated[int, typer.Option("--hours", min=0, max=_MAX_DAYS * 24, help="Number of hours.")] = 0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Advance the clock by a duration."""
    duration = timedelta(days=days + more_days, hours=hours)
    if not duration:
        raise usage_error("Specify how far to advance: DAYS, --days or --hours.", field="days")
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        _move(session, subscription_id, subscription_now(session, subscription_id) + duration, as_json)


@clock.command("run-to")
def run_to(
    subscription_id: SubscriptionId,
    target: Instant,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Advance the clock to a date or an instant."""
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        instant = parse_instant(session, subscription_id, target)
        if instant < (now := subscription_now(session, subscription_id)):
            raise CommandError(
                ExitCode.REFUSED,
                "CLOCK_PASSED",
                f"The clock is already at {now:%Y-%m-%d %H:%M} KST and cannot move back.",
                field="target",
            )
        _move(session, subscription_id, instant, as_json)


def _move(session: Session, subscription_id: str, target: datetime, as_json: bool) -> None:
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.progress import clock_progress
    from entrypoints.cli.views.formatting import format_time
    from entrypoints.cli.views.subscription import timeline_table

    if session.run_client(lambda client: client.status(subscription_id)).state.is_terminal:
        message = "The subscription has ended, so its clock cannot be advanced."
        raise CommandError(ExitCode.REFUSED, "SUBSCRIPTION_ENDED", message)
    begin = subscription_now(session, subscription_id)
    if target - begin > timedelta(days=_MAX_DAYS):
        raise usage_error(f"A clock can advance by at most {_MAX_DAYS:,} days at a time.", field="target")
    known = len(session.run_client(lambda client: client.timeline(subscription_id)))
    last = begin
    with clock_progress(console(stderr=True), begin, target) as show_progress:

        def on_progress(now: datetime) -> None:
            nonlocal last
            show_progress(now)
            if now > last:
                last = now
                session.reset_timeout()

        session.run_client(lambda client: client.clock(subscription_id).advance_to(target, on_progress))
        session.run_client(lambda client: client.settle(subscription_id))
    session.reset_timeout()
    session.run_client(lambda client: _issue_invoices(client, subscription_id, begin, target))
    status = session.run_client(lambda client: client.status(subscription_id))
    events = session.run_client(lambda client: client.timeline(subscription_id))[known:]
    now = subscription_now(session, subscription_id)
    document = {
        "subscription_id": subscription_id,
        "now": now.isoformat(),
        "state": status.state,
        "access": status.access,
        "events": events,
    }

    def render() -> "RenderableType":
        summary = Text(f"The clock is at {format_time(now)}. State: {status.state}, access: {status.access}.")
        return Group(timeline_table(events), summary) if events else summary

    show(as_json, document, render)


async def _issue_invoices(
    client: "SubscriptionClient", subscription_id: str, begin: datetime, end: datetime
) -> None:
    """Issue the invoices of the months that the clock has passed; only the local stack does."""
    from subscription.refusals import RefusalCode, RefusalError

    try:
        await client.issue_invoices_between(subscription_id, begin, end)
    except RefusalError as refusal:
        if refusal.refused.code is not RefusalCode.NO_TEST_CLOCK:
            raise
