"""Entitlements of a subscription: what the product grants (R36)."""

from collections.abc import Mapping
from datetime import date

from subscription.business_calendar import day_of
from subscription.catalogue import LocalizedList, PriceBook
from subscription.model import Frozen
from subscription.state import Access, State, Subscription


class Entitlements(Frozen):
    """The entitlements after the recorded event with the number `sequence`.

    `functions` are those of the plan, where the catalogue lists them (R2). `members_in_use` includes the
    administrator. Of the members in use, the `locked_members` added last have no seat.
    """

    subscription_id: str
    sequence: int
    state: State
    access: Access
    plan: str
    functions: LocalizedList | None
    seats: int
    members_in_use: int
    locked_members: int


def entitlements_of(
    state: Subscription,
    book: PriceBook,
    functions: Mapping[str, LocalizedList | None],
    members_in_use: int,
    today: date,
) -> Entitlements:
    """Return the entitlements on this day. A plan that is no longer sold keeps its last functions (R19).

    `functions` are those of the subscription's plan by catalogue version.
    """
    assert state.last_at is not None, "every recorded subscription has an event"
    day = max(today, day_of(state.last_at))  # the clock of a test subscription can be ahead
    return Entitlements(
        subscription_id=state.subscription_id,
        sequence=state.sequence,
        state=state.state,
        access=state.access,
        plan=state.plan,
        functions=functions.get(book.selling(state.plan, day).version),
        seats=state.members,
        members_in_use=members_in_use,
        locked_members=max(0, members_in_use - state.members),
    )
