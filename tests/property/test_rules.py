"""Invariants of every subscription, for any commands at any time, checked on generated subscriptions."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from support.scenario_builder import BOOK, TOKEN, request_body

from subscription.apply import apply_all
from subscription.business_calendar import day_of, first_of_next_month, start_of
from subscription.catalogue import PriceBook
from subscription.commands import COMMANDS, parse_command, parse_quote
from subscription.confirmations import confirmations
from subscription.deadlines import next_deadline
from subscription.decide import Decision, ExternalFacts, decide
from subscription.due_events import due_events
from subscription.event_replay import (
    cancellation_events,
    rebuild_state,
    replay,
    without_transient_fields,
)
from subscription.events import EVENT_ADAPTER, private_fields
from subscription.forecast import Quote, quote_cancellation, upcoming
from subscription.notices import BaseNotice, Notice, notices_due
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Request, parse_request
from subscription.scenario import ScenarioError, read_scenario
from subscription.state import ReservedCancellation, State, Subscription
from subscription.summary_card import summary_card

from .generated_subscriptions import (
    ONE_DAY,
    SECRET,
    SUBSCRIPTION_SETTINGS,
    GeneratedSubscription,
    Wish,
    argument_of,
    latest_date,
    plans,
    subscriptions,
    terms,
    wishes,
)

# -- seats -------------------------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(
    subscriptions(), st.sampled_from([None, -2, -1, 0, 1, 2]), st.integers(-2, 2), terms, st.integers(0, 2)
)
def test_r36_members_in_use_refuse_only_fewer_seats(
    generated: GeneratedSubscription, chosen: int | None, used: int, term: str, later: int
) -> None:
    """Compare the decision with that on the same command without the members in use."""
    subscription = generated.subscription
    seats = subscription.state.members
    members, in_use = None if chosen is None else max(1, seats + chosen), max(1, seats + used)
    command, argument = "change_renewal_option", {"term": term, "members": members}
    if subscription.state.state is not State.ACTIVE:
        command, argument["date"] = "switch_to_paid", f"{subscription.today + later * ONE_DAY}"
    unlimited, limited = subscription.copy(), subscription.copy()
    unlimited.members_in_use, limited.members_in_use = None, in_use
    accepted, answer = unlimited.answered(command, **argument), limited.answered(command, **argument)
    is_reserved = command == "switch_to_paid" and later > 0
    if isinstance(accepted, Decision) and not is_reserved and (members or seats) < in_use:
        assert isinstance(answer, Refusal)
        assert answer.code is RefusalCode.MEMBERS_IN_USE
        assert answer.parameters == {"members": in_use}
    else:
        assert answer == accepted


# -- the ledger --------------------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True), st.integers(0, 400))
def test_r21_service_fees_charge_each_paid_day_once(generated: GeneratedSubscription, days: int) -> None:
    subscription = generated.subscription.at(generated.subscription.now + timedelta(days=days))
    if subscription.state.state is State.ACTIVE:
        subscription.answered("cancel")
    first_days = [
        event.contract.first_day for event in subscription.events if event.event == "SWITCHED_TO_PAID"
    ]
    ended = [event.billed_until for event in subscription.events if event.event == "CANCELED"]
    assume(first_days)

    fees = [line for line in subscription.ledger if line.kind == "SERVICE_FEE"]
    edges = [first_days[0], *(line.end_day for line in fees)]
    assert [line.first_day for line in fees] == edges[:-1]
    assert [edges[-1]] == ended
    for line in fees:
        assert line.end_day <= first_of_next_month(line.first_day)
    for line, following in pairwise(fees):
        same_rate = (line.plan, line.members, line.pieces[0].price) == (
            following.plan,
            following.members,
            following.pieces[0].price,
        )
        assert not same_rate or following.first_day.day == 1, "a run was split without a reason"


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True))
def test_r21_each_charged_day_has_its_last_rate(generated: GeneratedSubscription) -> None:
    """The rate of a day is the last one that was set by its end."""
    subscription = generated.subscription.at(generated.subscription.now + timedelta(days=70))
    rates = [
        e.rate for e in subscription.events if e.event in ("SWITCHED_TO_PAID", "UPGRADED", "CONTRACT_RENEWED")
    ]
    for line in subscription.ledger:
        if line.kind == "SERVICE_FEE":
            for n in range((line.end_day - line.first_day).days):
                rate = [r for r in rates if r.first_day <= line.first_day + n * ONE_DAY][-1]
                assert (line.plan, line.members, line.pieces[0].price) == (
                    rate.plan,
                    rate.members,
                    rate.price,
                )


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True))
def test_r20_r22_no_key_is_posted_twice_and_no_line_is_zero(generated: GeneratedSubscription) -> None:
    ledger = generated.subscription.at(generated.subscription.now + timedelta(days=400)).ledger
    assert len({line.key for line in ledger}) == len(ledger)
    assert all(line.amount > 0 for line in ledger)


# -- quotes and reservations -------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True), st.integers(0, 100))
def test_r30_quote_equals_charge(generated: GeneratedSubscription, percent: int) -> None:
    subscription = generated.subscription
    days = (latest_date(subscription, "cancel") - subscription.today).days * percent // 100
    requested = subscription.today + timedelta(days=days)
    quoted = subscription.quoted(requested)
    answer = subscription.copy().answered("cancel", date=f"{requested}")
    if isinstance(quoted, Refusal):
        assert isinstance(answer, Refusal)
        assert (quoted.code, quoted.message) == (answer.code, answer.message)
        return
    charged = (
        subscription.copy().send("cancel", date=f"{requested}").at(max(subscription.now, start_of(requested)))
    )
    assert charged.state.state is State.ERASED
    assert tuple(charged.ledger[len(subscription.ledger) :]) == quoted.ledger
    assert quoted.total == sum(line.amount for line in quoted.ledger)
    assert quoted.penalty == sum(line.amount for line in quoted.ledger if line.kind != "SERVICE_FEE")


@SUBSCRIPTION_SETTINGS
@given(subscriptions(), wishes, st.integers(0, 100))
def test_r29_withdrawn_reservation_has_no_effect(
    generated: GeneratedSubscription, wish: Wish, percent: int
) -> None:
    without = generated.subscription
    if without.state.reservation is not None:
        without.send("withdraw_reservation")
    command = "switch_to_paid" if without.state.state is not State.ACTIVE and wish.number % 2 else "cancel"
    reserved = without.copy()
    reserved.answered(command, **argument_of(reserved, replace(wish, command=command)))
    deadline = next_deadline(reserved.state)
    assume(reserved.state.reservation is not None)
    assert deadline is not None

    # Some time before the next deadline.
    time_left = deadline.at - reserved.now - timedelta(microseconds=1)
    reserved.at(reserved.now + time_left * percent // 100).send("withdraw_reservation")
    counted = {"sequence", "last_at"}
    assert reserved.state.model_dump(exclude=counted) == without.state.model_dump(exclude=counted)
    later = reserved.now + timedelta(days=500)
    assert reserved.at(later).ledger == without.at(later).ledger


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_r32_at_most_one_reservation_with_future_date(generated: GeneratedSubscription) -> None:
    subscription = generated.subscription
    if reservation := subscription.state.reservation:
        assert reservation.date > subscription.today
        assert subscription.state.state.accepts_commands
        assert isinstance(reservation, ReservedCancellation) or subscription.state.state is not State.ACTIVE


# -- time --------------------------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(subscriptions(), st.lists(st.integers(0, 1000), max_size=8))
def test_r23_late_processing_has_same_result(generated: GeneratedSubscription, wakings: list[int]) -> None:
    span = generated.subscription.now - generated.requested_at
    woken = generated.again(generated.requested_at + span * n / 1000 for n in wakings)
    assert woken.timeline == generated.subscription.timeline
    assert woken.ledger == generated.subscription.ledger
    assert woken.state == generated.subscription.state


@SUBSCRIPTION_SETTINGS
@given(subscriptions(switched=True), st.integers(1, 800))
def test_r23_one_late_wake_up_equals_one_per_deadline(generated: GeneratedSubscription, days: int) -> None:
    asleep, awake = generated.subscription, generated.subscription.copy()
    until = asleep.now + timedelta(days=days)
    missed = due_events(asleep.state, until, asleep.book)
    while (deadline := next_deadline(awake.state)) and deadline.at <= until:
        awake.at(deadline.at)
    assert awake.events[len(asleep.events) :] == missed
    assert [event.at for event in missed] == sorted(event.at for event in missed)


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_r33_clock_zone_has_no_effect(generated: GeneratedSubscription) -> None:
    elsewhere = generated.again(zone=UTC)
    assert elsewhere.state == generated.subscription.state
    assert elsewhere.ledger == generated.subscription.ledger


# -- refusals ----------------------------------------------------------------------------------------

numbers = st.one_of(st.integers(), st.floats(), st.just(10**4000))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8), st.dates(), st.datetimes())
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
any_day = st.dates().map(str) | st.sampled_from(["0001-01-01", "9999-12-31", "2028-02-29"])
# Most draws have a value of the field's type, possibly extreme, so that the command reaches a decision.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "date": any_day | anything,
    "term": terms | anything,
    "plan": plans | anything,
    "members": st.none() | st.integers(1) | numbers,
    "agreed_terms": st.just(
        [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]
    )
    | anything,
    "confirmation": st.just(f"{SECRET}.keeper@{SECRET}-own") | anything,
    "group": st.just("some-name") | anything,
    "domain": st.just("some.name.kr") | anything,
    "id": st.none() | st.just("id-1") | anything,
    "at": st.datetimes(timezones=st.just(UTC)).map(str) | anything,
}


def any_command() -> st.SearchStrategy[tuple[str, Any]]:
    """Return a strategy for a command of any name, with an argument from plausible to absurd."""
    arguments: list[st.SearchStrategy[tuple[str, Any]]] = [st.tuples(st.text(max_size=8), anything)]
    for name, shape in COMMANDS.items():
        known = {key: FIELDS[key] for key in shape.model_fields if key in FIELDS}
        likely = st.fixed_dictionaries({}, optional=known)
        arguments.append(st.tuples(st.just(name), likely | anything))
    return st.one_of(arguments)


@SUBSCRIPTION_SETTINGS
@given(subscriptions(most=5), st.lists(any_command(), min_size=1, max_size=8))
def test_r09_any_command_is_answered_and_refusal_has_no_effect(
    generated: GeneratedSubscription, requested: list[tuple[str, Any]]
) -> None:
    subscription = generated.subscription
    for name, argument in requested:
        before = subscription.state
        command = parse_command(name, argument)
        assert isinstance(command, Refusal) or command.fingerprint()
        answer = subscription.decide_parsed(command, ExternalFacts(token=TOKEN))
        assert isinstance(answer, Decision | Refusal)
        if isinstance(answer, Refusal):
            assert subscription.state is before
            assert answer.message


@SUBSCRIPTION_SETTINGS
@given(subscriptions(most=5), st.lists(any_command(), min_size=1, max_size=5), st.data())
def test_r27_commands_outside_the_subscription_are_refused(
    generated: GeneratedSubscription, requested: list[tuple[str, Any]], data: st.DataObject
) -> None:
    """Before the start and after the end, every command is refused."""
    subscription = generated.subscription
    subscription.answered("cancel")
    canceled, provisioned = subscription.state, subscription.provisioned
    erased = subscription.at(subscription.now).state
    state = data.draw(st.sampled_from([canceled, provisioned, erased]))
    for name, argument in requested:
        command = parse_command(name, argument)
        if not isinstance(command, Refusal):
            assert isinstance(decide(state, command, subscription.now, subscription.book), Refusal)


@SUBSCRIPTION_SETTINGS
@given(subscriptions(most=4), st.dates())
def test_r28_a_quote_for_any_date_is_answered(generated: GeneratedSubscription, requested: date) -> None:
    quoted = generated.subscription.quoted(requested)
    assert isinstance(quoted, Quote | Refusal)


@SUBSCRIPTION_SETTINGS
@given(anything, anything)
def test_unreadable_command_is_refused_with_message(one: object, other: object) -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    for body in (
        one,
        {"account": one, "members": other, "agreed_terms": one},
        request_body(company_phone=one),
    ):
        assert isinstance(parse_request(body, BOOK, at), Request | Refusal)
        parse_quote(body)
        parse_quote({"date": one, "at": other})
    likely = {"name": "x", "request": {"at": one, "plan": other}, "steps": other, "until": other}
    stepping = likely | {
        "request": {"at": f"{at}"},
        "steps": [{"at": f"{at}", "cancel": one}],
        "until": f"{at}",
    }
    for scenario in (one, likely, stepping, stepping | {"steps": one}):
        # Any other exception is an error.
        with suppress(ScenarioError):
            read_scenario(scenario)


# -- stored data -------------------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_every_state_and_event_survives_json(generated: GeneratedSubscription) -> None:
    subscription = generated.subscription
    for state in (
        subscription.provisioned,
        subscription.state,
        subscription.at(subscription.now + timedelta(days=100)).state,
    ):
        assert Subscription.model_validate_json(state.model_dump_json()) == state
    for event in subscription.events:
        assert EVENT_ADAPTER.validate_json(EVENT_ADAPTER.dump_json(event)) == event
    for entry in subscription.timeline:
        assert type(entry).model_validate_json(entry.model_dump_json()) == entry
    assert PriceBook.model_validate_json(subscription.book.model_dump_json()) == subscription.book


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_state_equals_replayed_events(generated: GeneratedSubscription) -> None:
    subscription = generated.subscription
    assert apply_all(subscription.provisioned, subscription.events) == subscription.state
    assert subscription.state.sequence == len(subscription.events)


@SUBSCRIPTION_SETTINGS
@given(subscriptions(), st.booleans())
def test_state_and_charges_are_rebuilt_from_erased_events(
    generated: GeneratedSubscription, leaves: bool
) -> None:
    subscription = generated.subscription
    if leaves:
        subscription.answered("cancel")
        subscription.at(subscription.now)
    left = [
        EVENT_ADAPTER.validate_json(event.model_dump_json(exclude=set(private_fields(event))))
        for event in subscription.events
    ]
    rebuilt, mismatches = replay(subscription.state, left, subscription.book)
    assert without_transient_fields(rebuilt) == without_transient_fields(subscription.state)
    assert rebuilt == rebuild_state(subscription.state, left)
    assert not mismatches


@SUBSCRIPTION_SETTINGS
@given(subscriptions(), st.integers(0, 400))
def test_rebuilt_cancellation_matches_real_cancellation(generated: GeneratedSubscription, days: int) -> None:
    """A cancellation is rebuilt from its time alone."""
    subscription = generated.subscription
    before, known = subscription.state, len(subscription.events)
    subscription.at(subscription.now + timedelta(days=days)).answered("cancel")
    subscription.at(subscription.now)
    ended_at = subscription.state.ended_at
    assert ended_at is not None
    assert cancellation_events(before, ended_at, subscription.book) == tuple(subscription.events[known:])


@SUBSCRIPTION_SETTINGS
@given(subscriptions(), st.lists(wishes, max_size=5))
def test_r31_messages_contain_no_personal_data(generated: GeneratedSubscription, more: list[Wish]) -> None:
    subscription = generated.subscription
    for wish in more:
        generated.sends(wish.command, argument_of(subscription, wish))
    coming = upcoming(subscription.state, subscription.now, subscription.book, limit=6)
    quoted = quote_cancellation(subscription.state, subscription.today, subscription.now, subscription.book)
    messages = [
        summary_card(subscription.state, subscription.now),
        *(answer.message for answer in subscription.answers),
    ]
    messages += [
        model.model_dump_json() for model in (*subscription.timeline, *subscription.ledger, *coming, quoted)
    ]
    messages += [event.model_dump_json(exclude=set(private_fields(event))) for event in subscription.events]
    messages += [answer.model_dump_json() for answer in subscription.answers if isinstance(answer, Refusal)]
    assert not [words for words in messages if SECRET in words or TOKEN in words]


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_r31_erased_state_has_no_personal_data(generated: GeneratedSubscription) -> None:
    subscription = generated.subscription
    assert subscription.state.state.is_terminal or SECRET in subscription.state.model_dump_json()
    subscription.answered("cancel")
    erased = subscription.at(subscription.now).state.model_dump_json()
    assert json.loads(erased)["state"] == "ERASED"
    assert SECRET not in erased
    assert TOKEN not in erased


# -- notices (R34) -----------------------------------------------------------------------------------


@SUBSCRIPTION_SETTINGS
@given(subscriptions())
def test_r34_no_deadline_deletes_without_a_warning_in_two_weeks(generated: GeneratedSubscription) -> None:
    """The job runs every day at 09:00. The confirmation of a late change also announces the deletion."""
    subscription = generated.subscription.at(generated.subscription.now + timedelta(days=400))
    ended = next((event for event in subscription.events if event.event == "CANCELED"), None)
    assume(ended is not None and ended.because != "ASKED")
    assert ended is not None
    state, notices = subscription.provisioned, list[BaseNotice]()
    for event in subscription.events:
        if event.at >= ended.at - timedelta(days=14):
            notices += confirmations(state, [event], subscription.book)
        state = apply_all(state, [event])
    for days in range(1, 15):
        today = day_of(ended.at) - timedelta(days=days)
        happened = [each for each in subscription.events if each.at <= start_of(today) + timedelta(hours=9)]
        state = apply_all(subscription.provisioned, happened)
        if state.state.accepts_commands:
            notices += notices_due(state, today, subscription.book)
    assert any(
        ended in (notice.happens, notice.then if isinstance(notice, Notice) else None) for notice in notices
    )
