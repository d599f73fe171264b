"""`worksub clock`: advance a subscription's test clock."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.date_arguments import parse_instant, subscription_now
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Moment, SubscriptionId, Timeout
from entrypoints.cli.output import console, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer()
clock = typer.Typer(help="Move a subscription's own test clock.")
app.add_typer(clock, name="clock", rich_help_panel="Try things out")

# A hundred years. Each month of them is lived through, which takes its time.
_MOST_DAYS = 36_525


@clock.command()
def advance(
    subscription_id: SubscriptionId,
    days: Annotated[
        int, typer.Argument(metavar="[DAYS]", min=0, max=_MOST_DAYS, help="So many days.", show_default=False)
    ] = 0,
    more_days: Annotated[int, typer.Option("--days", min=0, max=_MOST_DAYS, help="So many days.")] = 0,
    hours: Annotated[int, typer.Option("--hours", min=0, max=_MOST_DAYS * 24, help="So many hours.")] = 0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Let so much time pass."""
    duration = timedelta(days=days + more_days, hours=hours)
    if not duration:
        raise usage_error("Say how much time is to pass: DAYS, --days or --hours.", field="days")
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        _move(session, subscription_id, subscription_now(session, subscription_id) + duration, as_json)


@clock.command("run-to")
def run_to(
    subscription_id: SubscriptionId,
    target: Moment,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Let the time pass up to a date or an instant."""
    with Session(timeout=timeout) as session:
        subscription_id = session.subscription(subscription_id)
        moment = parse_instant(session, subscription_id, target)
        if moment < (now := subscription_now(session, subscription_id)):
            raise CommandError(
                ExitCode.REFUSED,
                "CLOCK_PASSED",
                f"The clock shows {now:%Y-%m-%d %H:%M} KST already, and no clock goes back.",
                field="target",
            )
        _move(session, subscription_id, moment, as_json)


def _move(session: Session, subscription_id: str, target: datetime, as_json: bool) -> None:
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.progress import clock_progress
    from entrypoints.cli.views.tables import moment, timeline_table

    if session.ask(lambda client: client.status(subscription_id)).state.over:
        message = "The subscription has ended, and its clock with it."
        raise CommandError(ExitCode.REFUSED, "SUBSCRIPTION_ENDED", message)
    begin = subscription_now(session, subscription_id)
    if target - begin > timedelta(days=_MOST_DAYS):
        raise usage_error(f"At most {_MOST_DAYS:,} days can pass at once.", field="target")
    known = len(session.ask(lambda client: client.timeline(subscription_id)))
    last = begin
    with clock_progress(console(stderr=True), begin, target) as show_progress:

        def on_progress(now: datetime) -> None:
            nonlocal last
            show_progress(now)
            if now > last:
                last = now
                session.reset_timeout()

        session.ask(lambda client: client.clock(subscription_id).advance_to(target, on_progress))
        session.ask(lambda client: client.settle(subscription_id))
    status = session.ask(lambda client: client.status(subscription_id))
    happened = session.ask(lambda client: client.timeline(subscription_id))[known:]
    now = subscription_now(session, subscription_id)
    document = {
        "subscription_id": subscription_id,
        "now": now.isoformat(),
        "state": status.state,
        "access": status.access,
        "events": happened,
    }

    def for_people() -> "RenderableType":
        said = Text(f"The clock shows {moment(now)}; it is {status.state}, access {status.access}.")
        return Group(timeline_table(happened), said) if happened else said

    show(as_json, document, for_people)
