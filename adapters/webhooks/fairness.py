"""Fair selection of the webhook endpoints to call next: round-robin, with limits per customer."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

SLOTS = 128
"""Endpoints that one process calls concurrently. A call holds a socket, but no database connection."""
_SLOTS_OF_CUSTOMER = 8


@dataclass(frozen=True)
class ReadyEndpoint:
    """An endpoint with due deliveries. `failures` counts consecutive failed and slow calls."""

    endpoint_id: str
    customer_id: str | None
    failures: int


def admitted(
    ready: Iterable[ReadyEndpoint], running: Collection[ReadyEndpoint], turns: Mapping[str, int]
) -> list[ReadyEndpoint]:
    """Return the endpoints whose turn starts now; `turns` maps each endpoint to the number of its last turn.

    The endpoint with the oldest last turn is first. One customer uses at most eight slots. Endpoints that
    failed or were slow in their last call share a quarter of all slots, and half of their customer's slots.
    Therefore any number of failing endpoints leaves slots for healthy endpoints.
    """
    busy = {endpoint.endpoint_id for endpoint in running}
    used = Counter(_customer(endpoint) for endpoint in running)
    failing = Counter(_customer(endpoint) for endpoint in running if endpoint.failures)
    chosen = []
    for endpoint in sorted(ready, key=lambda endpoint: turns.get(endpoint.endpoint_id, 0)):
        customer = _customer(endpoint)
        if endpoint.endpoint_id in busy or used.total() >= SLOTS or used[customer] >= _SLOTS_OF_CUSTOMER:
            continue
        if endpoint.failures:
            if failing.total() >= SLOTS // 4 or failing[customer] >= _SLOTS_OF_CUSTOMER // 2:
                continue
            failing[customer] += 1
        used[customer] += 1
        chosen.append(endpoint)
    return chosen


def _customer(endpoint: ReadyEndpoint) -> str:
    return endpoint.customer_id or ""
