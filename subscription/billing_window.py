"""Billing window: month-end billing, spread by a hash of the subscription ID.

All service fees are due at the same instant, but each subscription posts its fees at its own offset in the
window. The lines keep the date on which they were due (R23). A command that arrives earlier in the window
posts the fees before it is executed.
"""

import hashlib
from datetime import datetime, timedelta

from subscription.catalogue import PriceBook
from subscription.deadlines import Deadline, DeadlineKind, next_change
from subscription.state import Subscription


def wake_time(state: Subscription, deadline: Deadline, book: PriceBook) -> datetime:
    """Return the time at which the workflow's timer fires for `deadline`, the next deadline.

    Service fees wait for the subscription's offset in the billing window, but never longer than until the
    next deadline that changes the subscription. All other deadlines are processed when they are due.
    """
    if deadline.what is not DeadlineKind.SERVICE_FEES:
        return deadline.at
    billed_at = deadline.at + offset_in_window(state.subscription_id, book.billing_window)
    change = next_change(state)
    return min(billed_at, change.at) if change else billed_at


def offset_in_window(subscription_id: str, window: timedelta) -> timedelta:
    """Return the subscription's offset in the window: constant, and evenly distributed over subscriptions."""
    position = int.from_bytes(hashlib.sha256(subscription_id.encode()).digest()[:4])
    return window * position / 2**32
