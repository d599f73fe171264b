"""Billing window: month-end billing, spread by a hash of the subscription ID.

Only when they are posted is spread, not what for: they are dated when they were due (R23), and whatever is
asked in between has them posted first.
"""

import hashlib
from datetime import datetime, timedelta

from subscription.catalogue import PriceBook
from subscription.deadlines import DeadlineKind, next_change, next_deadline
from subscription.state import Subscription


def wake_time(state: Subscription, book: PriceBook) -> datetime | None:
    """When the next deadline is met by itself; one that changes something for the customer at its moment."""
    deadline = next_deadline(state)
    if deadline is None:
        return None
    if deadline.what is not DeadlineKind.SERVICE_FEES:
        return deadline.at
    turn = deadline.at + offset_in_window(state.subscription_id, book.billing_window)
    change = next_change(state)
    return min(turn, change.at) if change else turn


def offset_in_window(subscription_id: str, spread: timedelta) -> timedelta:
    """Where in the window a subscription has its turn: always in the same place, and evenly over all."""
    place = int.from_bytes(hashlib.sha256(subscription_id.encode()).digest()[:4])
    return spread * place / 2**32
