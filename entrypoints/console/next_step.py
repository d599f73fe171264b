"""The action that the page of a subscription offers first."""

from collections.abc import Iterator, Mapping

from entrypoints.console.available_actions import Action
from starter.client import CurrentState
from subscription.refusals import Refusal
from subscription.state import Access, ReservedCancellation, State


def next_step(current: CurrentState, refused: Mapping[Action, Refusal | None]) -> Action | None:
    """Return the most urgent action that is possible now, given the result of `refusals`; None if none is."""
    return next((action for action in _urgent_actions(current) if refused[action] is None), None)


def _urgent_actions(current: CurrentState) -> Iterator[Action]:
    """Yield the actions that the state calls for, the most urgent one first."""
    state = current.state
    if isinstance(state.reservation, ReservedCancellation):
        # The cancellation deletes all data, so the export precedes everything else.
        yield Action.WITHDRAW if current.last_export_at else Action.EXPORT
    if state.domain_lost:
        yield Action.RENAME
    if state.state is State.SUSPENDED:
        yield Action.SWITCH
    if state.access is Access.RESTRICTED:
        yield Action.DOMAIN
    if current.locked_members:
        yield Action.UPGRADE
    if state.state is State.TRIAL and state.reservation is None:
        yield Action.SWITCH
    if state.pending_domains:
        yield Action.DOMAIN
