"""The trial, and the switch to paid: R14 to R17."""

from datetime import UTC

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, default_catalogue, on

from subscription.refusals import RefusalCode

# Most tests: 30 × 24 hours after 31 January 10:20:30 is 2 March, 30 more is 1 April.
REQUESTED, TRIAL_ENDS, GRACE_ENDS = "2027-01-31 10:20:30", "2027-03-02 10:20:30", "2027-04-01 10:20:30"


def trial() -> ScenarioBuilder:
    return ScenarioBuilder.requested(REQUESTED, plan="basic", members=10)


def just_before(moment: str) -> str:
    assert moment.endswith("30")
    return moment.removesuffix("30") + "29.999999"


# -- R14, R15 ----------------------------------------------------------------------------------------


def test_r14_the_trial_lasts_30_days_of_24_hours() -> None:
    subscription = trial()
    assert subscription.state.trial_ends_at == on(TRIAL_ENDS)
    assert subscription.at(just_before(TRIAL_ENDS)).state.state == "TRIAL"
    assert subscription.at(TRIAL_ENDS).state.state == "SUSPENDED"


def test_r14_trial_length_is_policy() -> None:
    book = book_of(catalogue(trial={"days": 14}))
    assert ScenarioBuilder.requested("2027-01-01 09:00", book).state.trial_ends_at == on("2027-01-15 09:00")


def test_r15_trial_end_suspends_use_and_keeps_data() -> None:
    subscription = trial().at(TRIAL_ENDS)
    assert (subscription.state.state, subscription.state.access) == ("SUSPENDED", "NONE")
    assert subscription.state.account is not None


def test_r15_grace_end_cancels_and_erases_immediately() -> None:
    subscription = trial().at(just_before(GRACE_ENDS))
    assert subscription.state.state == "SUSPENDED"
    subscription.at(GRACE_ENDS)
    assert subscription.event_names == ["TRIAL_STARTED", "TRIAL_ENDED", "CANCELED", "ERASED"]
    assert [event.at for event in subscription.events[2:]] == [on(GRACE_ENDS)] * 2


def test_r15_r21_a_trial_that_lapses_costs_nothing() -> None:
    assert trial().at("2028-01-01").ledger == []


def test_r15_a_suspended_subscription_is_still_convertible() -> None:
    subscription = trial().at(just_before(GRACE_ENDS)).send("switch_to_paid", term="ANNUAL")
    assert (subscription.state.state, subscription.state.access) == ("ACTIVE", "FULL")


def test_r15_no_grace_cancels_at_the_end_of_the_trial() -> None:
    book = book_of(catalogue(trial={"grace_days": 0}))
    subscription = ScenarioBuilder.requested(REQUESTED, book).at(just_before(TRIAL_ENDS))
    assert subscription.state.state == "TRIAL"
    subscription.at(TRIAL_ENDS)
    assert subscription.event_names == ["TRIAL_STARTED", "CANCELED", "ERASED"]
    assert subscription.events[-1].at == on(TRIAL_ENDS)


def test_r15_no_trial_begins_in_grace() -> None:
    book = book_of(catalogue(trial={"days": 0, "grace_days": 7}))
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", book).at("2027-01-01 09:00")
    assert subscription.state.state == "SUSPENDED"
    assert subscription.at("2027-01-08 09:00").state.state == "ERASED"


def test_r15_lengths_follow_the_catalogue_at_the_request() -> None:
    book = book_of(default_catalogue(), catalogue("2027-02-01", trial={"days": 5, "grace_days": 5}))
    subscription = ScenarioBuilder.requested(REQUESTED, book).at("2027-02-10")
    assert (subscription.state.trial_ends_at, subscription.state.grace_ends_at) == (
        on(TRIAL_ENDS),
        on(GRACE_ENDS),
    )
    assert subscription.at(just_before(GRACE_ENDS)).state.state == "SUSPENDED"


# -- R16 ---------------------------------------------------------------------------------------------


def test_r16_today_switches_immediately() -> None:
    subscription = trial().at("2027-02-10 15:00").send("switch_to_paid", date="2027-02-10", term="MONTHLY")
    assert subscription.state.state == "ACTIVE"
    assert subscription.events[-1].at == on("2027-02-10 15:00")


def test_r16_a_later_date_is_reserved_and_happens_at_its_start() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL")
    assert (subscription.state.state, subscription.event_names[-1]) == ("TRIAL", "SWITCH_RESERVED")
    assert subscription.at("2027-02-19 23:59:59").state.state == "TRIAL"
    subscription.at("2027-02-20 00:00")
    assert (subscription.state.state, subscription.events[-1].at) == ("ACTIVE", on("2027-02-20"))


def test_r16_a_reserved_switch_can_lie_in_the_grace_period() -> None:
    subscription = trial().send("switch_to_paid", date="2027-03-20", term="ANNUAL").at("2027-03-20")
    assert subscription.event_names == ["TRIAL_STARTED", "SWITCH_RESERVED", "TRIAL_ENDED", "SWITCHED_TO_PAID"]


@pytest.mark.parametrize("moment", ["2027-02-10 00:00", "2027-02-10 23:59:59", "2027-03-10 12:00"])
def test_r16_past_date_is_refused(moment: str) -> None:
    subscription = trial().at(moment)
    requested_date = f"{subscription.today.replace(day=9)}"
    assert (
        subscription.expect_refusal("switch_to_paid", date=requested_date, term="ANNUAL").code
        is RefusalCode.DATE_IN_THE_PAST
    )


@pytest.mark.parametrize(
    ("requested", "latest", "too_late"),
    [
        (REQUESTED, "2027-04-01", "2027-04-02"),  # grace ends on 1 April at 10:20:30
        ("2027-01-31 00:00:00.000001", "2027-04-01", "2027-04-02"),
        ("2027-01-31 00:00", "2027-03-31", "2027-04-01"),  # grace ends at the start of 1 April
        ("2027-01-30 23:59:59.999999", "2027-03-31", "2027-04-01"),
    ],
)
def test_r16_latest_date_starts_before_the_grace_end(requested: str, latest: str, too_late: str) -> None:
    subscription = ScenarioBuilder.requested(requested)
    refusal = subscription.expect_refusal("switch_to_paid", date=too_late, term="ANNUAL")
    assert (refusal.code, refusal.field) == (RefusalCode.DATE_TOO_LATE, "date")
    assert latest in refusal.message
    subscription.send("switch_to_paid", date=latest, term="ANNUAL").at(latest)
    assert subscription.state.state == "ACTIVE"


def test_r16_without_grace_the_latest_date_lies_in_the_trial() -> None:
    subscription = ScenarioBuilder.requested("2027-01-31 00:00", book_of(catalogue(trial={"grace_days": 0})))
    assert (
        subscription.expect_refusal("switch_to_paid", date="2027-03-02", term="ANNUAL").code
        is RefusalCode.DATE_TOO_LATE
    )
    assert subscription.send("switch_to_paid", date="2027-03-01", term="ANNUAL").at("2027-03-05").period == (
        "ANNUAL",
        "2027-03-01",
        "2028-03-01",
    )


def test_r16_plan_and_members_are_as_requested_unless_given() -> None:
    as_requested = trial().send("switch_to_paid", term="ANNUAL")
    assert (as_requested.state.plan, as_requested.state.members) == ("basic", 10)
    given = trial().send("switch_to_paid", term="ANNUAL", plan="lite", members=3)
    assert (given.state.plan, given.state.members) == ("lite", 3)


def test_r16_replaced_reservation_drops_plan_and_members() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL", plan="lite", members=3)
    subscription.send("switch_to_paid", date="2027-02-21", term="ANNUAL").at("2027-02-21")
    assert (subscription.state.plan, subscription.state.members) == ("basic", 10)


def test_r16_the_term_is_always_given() -> None:
    refusal = trial().expect_refusal("switch_to_paid")
    assert [(p.field, p.code) for p in refusal.problems] == [("term", RefusalCode.MISSING_FIELD)]


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        ({"plan": "gold"}, RefusalCode.PLAN_NOT_SOLD),
        ({"plan": ""}, RefusalCode.INVALID_ARGUMENT),
        ({"members": 100_001}, RefusalCode.TOO_MANY_MEMBERS),
        ({"members": 0}, RefusalCode.INVALID_ARGUMENT),
        ({"term": "WEEKLY"}, RefusalCode.INVALID_ARGUMENT),
        ({"surprise": 1}, RefusalCode.INVALID_ARGUMENT),
    ],
)
def test_r16_invalid_choice_is_refused(choice: dict[str, object], code: RefusalCode) -> None:
    assert trial().expect_refusal("switch_to_paid", **{"term": "ANNUAL", **choice}).code is code


# -- R17 ---------------------------------------------------------------------------------------------


def test_r17_the_first_day_is_the_korean_date_of_the_switch() -> None:
    # 15:30 UTC on 9 February is 00:30 on 10 February in Korea.
    subscription = trial()
    subscription.at(on("2027-02-10 00:30").astimezone(UTC)).send("switch_to_paid", term="ANNUAL")
    assert subscription.period == ("ANNUAL", "2027-02-10", "2028-02-10")


def test_r17_r23_late_switch_keeps_its_reserved_date() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL").at("2027-02-27 18:00")
    assert subscription.period == ("ANNUAL", "2027-02-20", "2028-02-20")
    assert subscription.events[-1].at == on("2027-02-20")


def test_r17_switch_clears_and_reports_reserved_cancellation() -> None:
    subscription = trial().send("cancel", date="2027-02-25").send("switch_to_paid", term="ANNUAL")
    assert subscription.state.reservation is None
    assert "cancellation reserved for 2027-02-25 is cleared" in subscription.message
    assert subscription.at("2027-02-26").state.state == "ACTIVE"


def test_r17_switch_clears_and_reports_reserved_switch() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-25", term="ANNUAL")
    subscription.send("switch_to_paid", term="MONTHLY")
    assert subscription.state.reservation is None
    assert "switch reserved for 2027-02-25 is cleared" in subscription.message
    assert subscription.at("2027-02-26").period == ("MONTHLY", "2027-01-31", "2027-02-28")


def test_r17_executed_reservation_clears_only_itself() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL").at("2027-02-20")
    assert subscription.state.reservation is None
    assert "cleared" not in subscription.timeline[-1].message
