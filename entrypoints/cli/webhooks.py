"""`worksub webhooks`."""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from entrypoints.cli.errors import CommandError, ExitCode, unavailable, usage_error
from entrypoints.cli.options import AfterNumber, AsJson, OfSubscription, PageSize
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.webhook_endpoints import Delivery, Endpoint, NewSecret, WebhookEndpointStore

app = typer.Typer(help="Who is told of what happens, and what could not be told.", no_args_is_help=True)
PANEL = "Run the service"

T = TypeVar("T")

EndpointId = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Its id, as `list` shows it.", show_default=False)
]
_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.2


def _state(text: str) -> str:
    from subscription.webhook_events import DeliveryState

    try:
        return DeliveryState(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(DeliveryState)}.") from None


@app.command("add")
def add_endpoint(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send events.", show_default=False)],
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="Tell of this customer's subscriptions.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Tell of every customer's.")] = False,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="KIND",
            help="Send only this kind of event; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell an endpoint of what happens from now on. Its secret is shown now and never again."""
    from adapters.webhooks.url_policy import url_problem
    from subscription.events import EVENT_KINDS
    from subscription.request import is_opaque_id

    if (customer is None) == (not everybody):
        raise usage_error("Say either --customer ID or --all.", field="customer")
    if customer is not None and not is_opaque_id(customer):
        raise usage_error(
            "A customer's id is 1 to 100 letters, digits, '.', '_', ':' or '-', the first a letter or digit.",
            field="customer",
        )
    if problem := url_problem(url, anywhere=_anywhere()):
        raise usage_error(f"The URL {problem}.", field="url")
    wanted = [kind.upper() for kind in events or ()] or None
    if unknown := [kind for kind in wanted or () if kind not in EVENT_KINDS]:
        raise usage_error(f"{unknown[0]!r} is not one of {', '.join(EVENT_KINDS)}.", field="event")
    made = _with_webhooks(lambda webhooks: webhooks.add(url, customer, events=wanted))
    show(as_json, made, lambda: _secret_view(made))


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List endpoints, with how much waits for each and how much is parked."""
    found = _with_webhooks(lambda webhooks: webhooks.list())
    show(as_json, {"endpoints": found}, lambda: _endpoints_view(found))


@app.command("deliveries")
def list_deliveries(
    endpoint: EndpointId,
    state: Annotated[
        str | None,
        typer.Option("--state", parser=_state, metavar="STATE", help="WAITING, DELIVERED or PARKED."),
    ] = None,
    limit: PageSize = 50,
    after: AfterNumber = 0,
    as_json: AsJson = False,
) -> None:
    """List what an endpoint was told, or will be, in the order in which it came about."""
    from subscription.webhook_events import DeliveryState

    found = _with_webhooks(
        lambda webhooks: webhooks.deliveries(
            endpoint, state=DeliveryState(state) if state else None, after=after, limit=limit + 1
        )
    )
    shown, last = found[:limit], found[limit - 1].number if len(found) > limit else None
    show(as_json, {"deliveries": shown, "after": last}, lambda: _deliveries_view(shown, last))


@app.command("replay")
def replay(
    endpoint: EndpointId,
    subscription: OfSubscription = None,
    first: Annotated[
        int | None, typer.Option("--from", min=1, metavar="SEQUENCE", help="From this event of it on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try again what is parked, or send all events of one subscription again, delivered or not."""
    if subscription is None and first is not None:
        raise usage_error("--from goes with --subscription, whose events it numbers.", field="from")
    subscription_id = None if subscription is None else _id_of(subscription)
    queued = _with_webhooks(
        lambda webhooks: (
            webhooks.replay_parked(endpoint)
            if subscription_id is None
            else webhooks.replay_subscription(endpoint, subscription_id, first or 1)
        )
    )
    show(as_json, {"queued": queued}, lambda: f"{queued:,} to be delivered again.")


@app.command("test")
def try_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Send a test event, and wait for the result."""
    tried = _with_webhooks(lambda webhooks: _tried(webhooks, endpoint))
    show(as_json, tried, lambda: f"{tried.state}: {tried.last_error or 'the endpoint has taken it'}.")
    if tried.last_error:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("rotate")
def rotate_secret(
    endpoint: EndpointId,
    hours: Annotated[
        int,
        typer.Option(
            "--overlap", min=0, max=720, metavar="HOURS", help="How long the old one signs as well."
        ),
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Make a new secret. For a day, or as long as is said, both sign."""
    made = _with_webhooks(lambda webhooks: webhooks.rotate(endpoint, timedelta(hours=hours)))
    show(as_json, made, lambda: _secret_view(made))


@app.command("pause")
def pause_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Send nothing to an endpoint for now. Its events wait until it is resumed."""
    from subscription.webhook_events import EndpointStatus

    _with_webhooks(lambda webhooks: webhooks.set_status(endpoint, EndpointStatus.PAUSED))
    show(
        as_json, {"paused": endpoint}, lambda: f"{endpoint} is paused. `worksub webhooks resume` resumes it."
    )


@app.command("resume")
def resume_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Send events again to an endpoint that was paused, or was disabled by its answer 410."""
    from subscription.webhook_events import EndpointStatus

    _with_webhooks(lambda webhooks: webhooks.set_status(endpoint, EndpointStatus.ENABLED))
    show(as_json, {"resumed": endpoint}, lambda: f"{endpoint} is sent events again.")


@app.command("remove")
def remove_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Tell an endpoint no more."""
    _with_webhooks(lambda webhooks: webhooks.remove(endpoint))
    show(as_json, {"removed": endpoint}, lambda: f"{endpoint} is told no more.")


def _id_of(reference: str) -> str:
    with Session() as session:
        return session.recorded(reference)


async def _tried(webhooks: "WebhookEndpointStore", endpoint: str) -> "Delivery":
    import asyncio

    from subscription.webhook_events import EndpointStatus

    status = next((each.status for each in await webhooks.list() if each.endpoint_id == endpoint), None)
    if status not in (None, EndpointStatus.ENABLED):
        raise CommandError(
            ExitCode.REFUSED,
            "ENDPOINT_NOT_ENABLED",
            f"The endpoint is {status.lower()}, so nothing is sent to it.",
            field="endpoint",
            advice="`worksub webhooks resume` enables it again.",
        )
    number = await webhooks.test(endpoint)
    for _ in range(int(_PATIENCE_SECONDS / _LOOK_SECONDS)):
        delivery = await webhooks.delivery(number)
        assert delivery is not None
        if delivery.attempts:
            return delivery
        await asyncio.sleep(_LOOK_SECONDS)
    raise unavailable(
        "NO_ANSWER",
        "No worker has sent it yet; it is sent as soon as one works.",
        advice="`worksub doctor` says what is missing, `worksub webhooks deliveries` what came of it.",
    )


def _anywhere() -> bool:
    """Whether internal addresses will do: as the workers are told, or on the stack of `worksub dev`."""
    from adapters.settings import SettingsError, allow_private_webhook_targets
    from entrypoints.cli.connections import dev_stack

    try:
        return allow_private_webhook_targets(os.environ) or dev_stack() is not None
    except SettingsError as error:
        raise CommandError(ExitCode.USAGE, "SETTINGS", str(error)) from None


def _with_webhooks(ask: "Callable[[WebhookEndpointStore], Awaitable[T]]") -> T:
    from starter.webhook_endpoints import EndpointNotFoundError, WebhookEndpointStore

    with Session(timeout=2 * _PATIENCE_SECONDS) as session:
        try:
            return session.run_admin(lambda pool: ask(WebhookEndpointStore(pool)))
        except EndpointNotFoundError:
            raise CommandError(
                ExitCode.REFUSED,
                "ENDPOINT_NOT_FOUND",
                "There is no endpoint with that id.",
                field="endpoint",
                advice="`worksub webhooks list` shows the ids.",
            ) from None


def _secret_view(made: "NewSecret") -> "RenderableType":
    from rich.text import Text

    return Text(
        f"{made.endpoint_id} verifies what it is sent with this secret. It is not shown again:\n\n"
        f"  {made.secret}\n"
    )


def _endpoints_view(endpoints: "list[Endpoint]") -> "RenderableType":
    from rich.text import Text

    from entrypoints.cli.views.api_tables import endpoints_table

    return endpoints_table(endpoints) if endpoints else Text("There are none.")


def _deliveries_view(deliveries: "list[Delivery]", last: int | None) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.api_tables import deliveries_table

    if not deliveries:
        return Text("There are none.")
    more = [Text(f"There are more: add --after {last}")] if last else []
    return Group(deliveries_table(deliveries), *more)
