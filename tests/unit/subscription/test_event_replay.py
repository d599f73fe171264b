"""Rebuilding state and charges from events, to detect inconsistencies."""

from support.scenario_builder import BOOK, TOKEN, ScenarioBuilder, on

from subscription.event_replay import rebuild_state, replay, without_transient_fields
from subscription.events import Canceled, ServiceFeesPosted


def cancelled_in_july() -> ScenarioBuilder:
    """Build the example of R30: 36,000 discount repayment and 18,000 early-termination fee."""
    return (
        ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10).at("2027-07-01").send("cancel")
    )


def test_rebuilt_state_corrects_a_changed_state() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10).at("2027-03-01")
    changed = subscription.state.model_copy(update={"members": 11, "reservation": None, "billed_until": None})
    assert rebuild_state(changed, subscription.events) == subscription.state


def test_rebuilt_state_keeps_personal_data_until_erasure() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", account={"domain": "acme.co.kr"})
    assert rebuild_state(subscription.state, subscription.events).account == subscription.state.account
    assert rebuild_state(subscription.state, subscription.events).pending_domains[0].token == TOKEN
    erased = subscription.send("cancel").at(subscription.now)
    restored = erased.state.model_copy(update={"admin_id": "admin"})
    assert rebuild_state(restored, erased.events) == erased.state


def test_transient_fields_are_ignored_in_comparison() -> None:
    state = ScenarioBuilder.requested("2027-01-01 09:00", account={"domain": "acme.co.kr"}).state
    assert state.pending_domain is not None
    checked = state.model_copy(
        update={
            "pending_domain": state.pending_domain.model_copy(
                update={"next_check_at": on("2027-01-01 10:00")}
            )
        }
    )
    assert checked != state
    assert without_transient_fields(checked) == without_transient_fields(state)
    other = state.model_copy(update={"pending_domain": None})
    assert without_transient_fields(other) != without_transient_fields(state)


def test_r30_charge_contradicting_the_rules_is_found() -> None:
    subscription = cancelled_in_july()
    *before, canceled = subscription.events
    assert isinstance(canceled, Canceled)
    forgiven = canceled.model_copy(update={"posted": canceled.posted[:1]})
    [found] = replay(subscription.state, [*before, forgiven], BOOK).mismatches
    assert found.event == forgiven
    assert [line.amount for line in found.expected] == [36_000, 18_000]


def test_r21_a_month_that_charges_nothing_is_found() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10).at("2027-02-01")
    fees = next(event for event in subscription.events if isinstance(event, ServiceFeesPosted))
    events = [
        event if event is not fees else fees.model_copy(update={"posted": ()})
        for event in subscription.events
    ]
    [found] = replay(subscription.state, events, BOOK).mismatches
    # 10 members at the list price of 3,600.
    assert [line.amount for line in found.expected] == [36_000]
