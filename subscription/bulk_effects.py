"""The effect of a bulk command on one subscription, by the rules."""

from datetime import datetime

from subscription.apply import apply_all
from subscription.bulk import UNKNOWN_CUSTOMER, BulkEffect
from subscription.business_calendar import day_of, start_of
from subscription.catalogue import PriceBook
from subscription.commands import Cancel, ChangeRenewalOption, Command, SwitchToPaid
from subscription.decide import ExternalFacts, decide
from subscription.due_events import advance, is_within_horizon
from subscription.forecast import TOO_FAR_AHEAD, quote_cancellation
from subscription.refusals import Refusal, RefusalCode
from subscription.state import Subscription


def addressed(command: Command, state: Subscription) -> Command:
    """Return the command for this subscription: a cancellation confirms the subscription's own account."""
    if isinstance(command, Cancel):
        return command.model_copy(update={"confirmation": state.admin_account or ""})
    return command


def effect_of(
    recorded: Subscription, command: Command, now: datetime, book: PriceBook, members_in_use: int | None
) -> BulkEffect:
    """Return the effect of the command on a subscription now, from its last recorded state."""
    if not is_within_horizon(recorded, now):
        return _refused(recorded, now, TOO_FAR_AHEAD)
    state = advance(recorded, now, book)
    decision = decide(
        state, addressed(command, state), now, book, ExternalFacts(members_in_use=members_in_use)
    )
    if isinstance(decision, Refusal):
        return _refused(state, now, decision)
    after = apply_all(state, decision.events)
    return BulkEffect(
        subscription_id=state.subscription_id,
        customer_id=state.customer_id,
        sequence=state.sequence,
        date=day_of(now),
        monthly_before=_monthly(state),
        monthly_after=_monthly_after(after, command, now, book),
        charge=_charge(state, command, now, book),
    )


def unknown_effect(subscription_id: str, now: datetime) -> BulkEffect:
    """Return the effect on a subscription that does not exist."""
    return BulkEffect(
        subscription_id=subscription_id,
        customer_id=UNKNOWN_CUSTOMER,
        sequence=0,
        date=day_of(now),
        code=RefusalCode.SUBSCRIPTION_NOT_FOUND,
    )


def _refused(state: Subscription, now: datetime, refused: Refusal) -> BulkEffect:
    return BulkEffect(
        subscription_id=state.subscription_id,
        customer_id=state.customer_id,
        sequence=state.sequence,
        date=day_of(now),
        code=refused.code,
    )


def _monthly(state: Subscription) -> int:
    """Return the price of a whole month at the present rate; 0 without a contract."""
    return state.rate.monthly if state.contract and not state.state.is_terminal else 0


def _monthly_after(after: Subscription, command: Command, now: datetime, book: PriceBook) -> int:
    """Return the price of a whole month once the command has taken effect."""
    match command:
        case Cancel():
            return 0
        case SwitchToPaid():
            return _monthly(advance(after, max(now, start_of(command.date)), book))
        case ChangeRenewalOption() if after.contract:
            return _monthly(advance(after, start_of(after.contract.end_day), book))
        case _:
            return _monthly(after)


def _charge(state: Subscription, command: Command, now: datetime, book: PriceBook) -> int:
    """Return the early termination charge of a cancellation (R30)."""
    if not isinstance(command, Cancel):
        return 0
    quote = quote_cancellation(state, command.date, now, book)
    assert not isinstance(quote, Refusal), "the cancellation itself was accepted"
    return quote.penalty
