"""Views of webhook endpoints and deliveries."""

from collections.abc import Iterable

from rich.table import Table

from entrypoints.cli.views.formatting import format_time
from entrypoints.cli.views.layout import new_table
from starter.webhook_endpoints import Delivery, Endpoint


def endpoints_table(endpoints: Iterable[Endpoint]) -> Table:
    table = new_table("Endpoint", "Customer", "URL", "Status", "Waiting", "Parked", "Paused until")
    for endpoint in endpoints:
        table.add_row(
            endpoint.endpoint_id,
            endpoint.customer_id or "all",
            endpoint.url,
            f"{endpoint.status}: {endpoint.status_reason}" if endpoint.status_reason else endpoint.status,
            f"{endpoint.waiting:,}",
            f"{endpoint.parked:,}",
            format_time(endpoint.paused_until),
        )
    return table


def deliveries_table(deliveries: Iterable[Delivery]) -> Table:
    table = new_table("Number", "Subscription", "Event", "State", "Attempts", "Since", "Error")
    for delivery in deliveries:
        table.add_row(
            str(delivery.number),
            delivery.subscription_id or "test event",
            f"{delivery.sequence} {delivery.event}" if delivery.event else "",
            delivery.state,
            str(delivery.attempts),
            format_time(delivery.completed_at or delivery.queued_at),
            delivery.last_error or "",
        )
    return table
