"""Fair selection of the webhook endpoints to call next: round-robin, with limits per customer."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

SLOTS = 128
"""Endpoints that one process calls at the same time. A call holds a socket and no database connection."""
_SLOTS_OF_CUSTOMER = 8


@dataclass(frozen=True)
class ReadyEndpoint:
    """An endpoint for which a delivery is due. `failures` counts failed and slow calls in a row."""

    endpoint_id: str
    customer_id: str | None
    failures: int


def admitted(
    ready: Iterable[ReadyEndpoint], running: Collection[ReadyEndpoint], turns: Mapping[str, int]
) -> list[ReadyEndpoint]:
    """Return the endpoints whose turn begins now; `turns` has the number of each endpoint's last turn.

    The endpoint whose last turn is the longest ago comes first. One customer has eight slots at most.
    Endpoints that failed or were slow the last time share a quarter of all slots, and half of their
    customer's, so that any number of them leaves room for those that answer.
    """
    busy = {each.endpoint_id for each in running}
    used = Counter(_customer(each) for each in running)
    doubtful = Counter(_customer(each) for each in running if each.failures)
    chosen = []
    for endpoint in sorted(ready, key=lambda each: turns.get(each.endpoint_id, 0)):
        customer = _customer(endpoint)
        if endpoint.endpoint_id in busy or used.total() >= SLOTS or used[customer] >= _SLOTS_OF_CUSTOMER:
            continue
        if endpoint.failures:
            if doubtful.total() >= SLOTS // 4 or doubtful[customer] >= _SLOTS_OF_CUSTOMER // 2:
                continue
            doubtful[customer] += 1
        used[customer] += 1
        chosen.append(endpoint)
    return chosen


def _customer(endpoint: ReadyEndpoint) -> str:
    return endpoint.customer_id or ""
