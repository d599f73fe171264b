"""`worksub webhooks`: manage webhook endpoints and deliveries."""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from entrypoints.cli.errors import CommandError, ExitCode, unavailable, usage_error
from entrypoints.cli.options import AfterNumber, AsJson, PageSize, SubscriptionFilter, one_of
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.webhook_endpoints import Delivery, Endpoint, NewSecret, WebhookEndpointStore

app = typer.Typer(help="Manage webhook endpoints and failed deliveries.", no_args_is_help=True)
PANEL = "Run the service"

T = TypeVar("T")

EndpointId = Annotated[
    str,
    typer.Argument(metavar="ENDPOINT", help="ID of the endpoint, as shown by `list`.", show_default=False),
]
_TEST_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.2


def _states() -> list[str]:
    from subscription.webhook_events import DeliveryState

    return list(DeliveryState)


@app.command("add")
def add_endpoint(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="URL that receives the events.", show_default=False)
    ],
    customer: Annotated[
        str | None,
        typer.Option("--customer", metavar="ID", help="Send events of this customer's subscriptions."),
    ] = None,
    all_customers: Annotated[
        bool, typer.Option("--all", help="Send events of all customers' subscriptions.")
    ] = False,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="KIND",
            help="Send only this kind of event; can be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint for future events. Its secret is displayed only once."""
    from adapters.webhooks.url_policy import url_problem
    from subscription.events import EVENT_KINDS
    from subscription.ids import is_opaque_id

    if (customer is None) == (not all_customers):
        raise usage_error("Specify either --customer ID or --all.", field="customer")
    if customer is not None and not is_opaque_id(customer):
        raise usage_error(
            "A customer ID has 1 to 100 letters, digits, '.', '_', ':' or '-'. "
            "It begins with a letter or digit.",
            field="customer",
        )
    if problem := url_problem(url, allow_private_targets=_allow_private_targets()):
        raise usage_error(f"The URL {problem}.", field="url")
    kinds = [kind.upper() for kind in events or ()] or None
    if unknown := [kind for kind in kinds or () if kind not in EVENT_KINDS]:
        raise usage_error(f"{unknown[0]!r} is not one of {', '.join(EVENT_KINDS)}.", field="event")
    created = _with_webhooks(lambda webhooks: webhooks.add(url, customer, events=kinds))
    show(as_json, created, lambda: _secret_view(created))


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List endpoints with their numbers of waiting and parked deliveries."""
    endpoints = _with_webhooks(lambda webhooks: webhooks.list())
    show(as_json, {"endpoints": endpoints}, lambda: _endpoints_view(endpoints))


@app.command("deliveries")
def list_deliveries(
    endpoint: EndpointId,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            parser=one_of(_states),
            autocompletion=_states,
            metavar="STATE",
            help="WAITING, DELIVERED or PARKED.",
        ),
    ] = None,
    limit: PageSize = 50,
    after: AfterNumber = 0,
    as_json: AsJson = False,
) -> None:
    """List the deliveries to an endpoint by number, oldest first."""
    from subscription.webhook_events import DeliveryState

    deliveries = _with_webhooks(
        lambda webhooks: webhooks.deliveries(
            endpoint, state=DeliveryState(state) if state else None, after=after, limit=limit + 1
        )
    )
    page, last = deliveries[:limit], deliveries[limit - 1].number if len(deliveries) > limit else None
    show(as_json, {"deliveries": page, "next_cursor": last}, lambda: _deliveries_view(page, last))


@app.command("replay")
def replay(
    endpoint: EndpointId,
    subscription: SubscriptionFilter = None,
    first: Annotated[
        int | None, typer.Option("--from", min=1, metavar="SEQUENCE", help="Start at this event number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Retry parked deliveries, or resend all events of one subscription, delivered or not."""
    if subscription is None and first is not None:
        raise usage_error("--from requires --subscription.", field="from")
    subscription_id = None if subscription is None else _id_of(subscription)
    queued = _with_webhooks(
        lambda webhooks: (
            webhooks.replay_parked(endpoint)
            if subscription_id is None
            else webhooks.replay_subscription(endpoint, subscription_id, first or 1)
        )
    )
    show(as_json, {"queued": queued}, lambda: f"{queued:,} deliveries are queued.")


@app.command("test")
def send_test(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Send a test event and wait for the result."""
    delivery = _with_webhooks(lambda webhooks: _send_test_event(webhooks, endpoint))
    show(
        as_json,
        delivery,
        lambda: f"{delivery.state}: {delivery.last_error or 'the endpoint accepted the event'}.",
    )
    if delivery.last_error:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("rotate")
def rotate_secret(
    endpoint: EndpointId,
    hours: Annotated[
        int,
        typer.Option(
            "--overlap", min=0, max=720, metavar="HOURS", help="How long the old secret also signs."
        ),
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Create a new secret. Both secrets sign for 24 hours, or for --overlap."""
    created = _with_webhooks(lambda webhooks: webhooks.rotate(endpoint, timedelta(hours=hours)))
    show(as_json, created, lambda: _secret_view(created))


@app.command("pause")
def pause_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Pause an endpoint. Its events wait until it is resumed."""
    from subscription.webhook_events import EndpointStatus

    _with_webhooks(lambda webhooks: webhooks.set_status(endpoint, EndpointStatus.PAUSED))
    show(
        as_json,
        {"paused": endpoint},
        lambda: f"{endpoint} is paused. To resume it, run `worksub webhooks resume`.",
    )


@app.command("resume")
def resume_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Resume an endpoint that was paused, or that was disabled because it answered 410."""
    from subscription.webhook_events import EndpointStatus

    _with_webhooks(lambda webhooks: webhooks.set_status(endpoint, EndpointStatus.ENABLED))
    show(as_json, {"resumed": endpoint}, lambda: f"{endpoint} is enabled.")


@app.command("remove")
def remove_endpoint(endpoint: EndpointId, as_json: AsJson = False) -> None:
    """Remove an endpoint."""
    _with_webhooks(lambda webhooks: webhooks.remove(endpoint))
    show(as_json, {"removed": endpoint}, lambda: f"{endpoint} is removed.")


def _id_of(reference: str) -> str:
    with Session() as session:
        return session.resolve_existing_id(reference)


async def _send_test_event(webhooks: "WebhookEndpointStore", endpoint: str) -> "Delivery":
    import asyncio

    from subscription.webhook_events import EndpointStatus

    status = next((known.status for known in await webhooks.list() if known.endpoint_id == endpoint), None)
    if status not in (None, EndpointStatus.ENABLED):
        raise CommandError(
            ExitCode.REFUSED,
            "ENDPOINT_NOT_ENABLED",
            f"The endpoint is {status.lower()}, so no events are sent.",
            field="endpoint",
            advice="To enable it, run `worksub webhooks resume`.",
        )
    number = await webhooks.test(endpoint)
    for _ in range(int(_TEST_TIMEOUT_SECONDS / _POLL_SECONDS)):
        delivery = await webhooks.delivery(number)
        assert delivery is not None
        if delivery.attempts:
            return delivery
        await asyncio.sleep(_POLL_SECONDS)
    raise unavailable(
        "TIMEOUT",
        "No worker has sent the test event yet. It is sent when a worker is available.",
        advice="Run `worksub doctor` to find the cause, and `worksub webhooks deliveries` for the result.",
    )


def _allow_private_targets() -> bool:
    """Return whether private addresses are allowed: by the workers' setting, or with `worksub dev`."""
    from adapters.settings import WebhookSettings
    from entrypoints.cli.connections import dev_stack

    return WebhookSettings.load(os.environ).allow_private_webhook_targets or dev_stack() is not None


def _with_webhooks(task: "Callable[[WebhookEndpointStore], Awaitable[T]]") -> T:
    from starter.webhook_endpoints import EndpointNotFoundError, WebhookEndpointStore

    with Session(timeout=2 * _TEST_TIMEOUT_SECONDS) as session:
        try:
            return session.run_admin(lambda pool: task(WebhookEndpointStore(pool)))
        except EndpointNotFoundError:
            raise CommandError(
                ExitCode.REFUSED,
                "ENDPOINT_NOT_FOUND",
                "There is no endpoint with this ID.",
                field="endpoint",
                advice="For the IDs, run `worksub webhooks list`.",
            ) from None


def _secret_view(created: "NewSecret") -> "RenderableType":
    from rich.text import Text

    return Text(
        f"Secret of {created.endpoint_id}, to verify signatures. Store it now; it is not shown again:\n\n"
        f"  {created.secret}\n"
    )


def _endpoints_view(endpoints: "list[Endpoint]") -> "RenderableType":
    from rich.text import Text

    from entrypoints.cli.views.webhooks import endpoints_table

    return endpoints_table(endpoints) if endpoints else Text("There are no endpoints.")


def _deliveries_view(deliveries: "list[Delivery]", last: int | None) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.webhooks import deliveries_table

    if not deliveries:
        return Text("There are no deliveries.")
    more = [Text(f"There are more: add --after {last}")] if last else []
    return Group(deliveries_table(deliveries), *more)
