"""Cancellation, its charges and retained data, and the clock of the rules: R27 to R33."""

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from support.scenario_builder import (
    TOKEN,
    Posted,
    ScenarioBuilder,
    book_of,
    catalogue,
    day,
    default_catalogue,
    fee,
    on,
    posted,
    repayment,
    termination,
)

from subscription.apply import apply
from subscription.events import Erased, private_fields
from subscription.forecast import Quote
from subscription.refusals import RefusalCode
from subscription.search_attributes import search_attribute_values
from subscription.state import Subscription
from subscription.status import status_of

POLICY = default_catalogue().domain
YEAR, NEXT_YEAR = "2027-01-01", "2028-01-01"


def annual(**changes: Any) -> ScenarioBuilder:
    """Build an annual contract: lite (3,600, annual 3,000), 10 members, 1 January 2027 to 1 January 2028."""
    return ScenarioBuilder.paid(YEAR, "ANNUAL", **{"plan": "lite", "members": 10, **changes})


def monthly(**changes: Any) -> ScenarioBuilder:
    return ScenarioBuilder.paid(YEAR, "MONTHLY", **{"plan": "lite", "members": 10, **changes})


def trial() -> ScenarioBuilder:
    """Build a trial that ends on 2 March at 10:00, with a grace until 1 April at 10:00."""
    return ScenarioBuilder.requested("2027-01-31 10:00")


def grace() -> ScenarioBuilder:
    return trial().at("2027-03-10")


def trial_from_midnight() -> ScenarioBuilder:
    return ScenarioBuilder.requested("2027-01-31 00:00")


def charges(subscription: ScenarioBuilder) -> list[Posted]:
    """Return the posted ledger lines other than service fees."""
    return [line for line in subscription.ledger_tuples if line.kind != "SERVICE_FEE"]


def quote(subscription: ScenarioBuilder, date: str) -> Quote:
    found = subscription.quoted(date)
    assert isinstance(found, Quote), found
    return found


# -- R27 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [trial, grace, annual, monthly])
def test_r27_at_any_time_while_commandable(start: Callable[[], ScenarioBuilder]) -> None:
    assert start().send("cancel").state.state == "CANCELED"
    subscription = start()
    stood, later = subscription.state.state, str(subscription.today + timedelta(days=3))
    assert subscription.send("cancel", date=later).state.state == stood
    assert subscription.at(later).state.state == "ERASED"
    assert subscription.events[-1].at == on(later)


def test_r27_ended_subscription_cannot_be_cancelled() -> None:
    subscription = annual().send("cancel")
    assert subscription.expect_refusal("cancel").code is RefusalCode.SUBSCRIPTION_ENDED
    assert subscription.at(subscription.now).expect_refusal("cancel").code is RefusalCode.SUBSCRIPTION_ENDED


@pytest.mark.parametrize(
    "typed", ["", "acme", "admin", "admin@", "Admin@acme", "admin@acme ", "admin@acme.kr", "yes"]
)
def test_r27_the_typed_confirmation_must_equal_the_account(typed: str) -> None:
    for date in (YEAR, "2027-06-01"):
        refusal = annual().expect_refusal("cancel", date=date, confirmation=typed)
        assert (refusal.code, refusal.field) == (RefusalCode.CONFIRMATION_DIFFERS, "confirmation")


def test_r27_the_account_of_a_domain_is_the_id_at_the_domain() -> None:
    annual(account={"domain": "acme.co.kr"}).send("cancel", confirmation="admin@acme.co.kr")


def test_r27_a_held_domain_is_not_yet_the_account() -> None:
    subscription = annual().send("rename_account", domain="acme.co.kr")
    assert (
        subscription.expect_refusal("cancel", confirmation="admin@acme.co.kr").code
        is RefusalCode.CONFIRMATION_DIFFERS
    )
    subscription.send("cancel", confirmation="admin@acme")


def test_r27_confirmation_is_required() -> None:
    assert annual().expect_refusal("cancel", confirmation=None).field == "confirmation"


def test_r27_past_date_is_refused() -> None:
    refusal = annual().at("2027-02-10").expect_refusal("cancel", date="2027-02-09")
    assert (refusal.code, refusal.field) == (RefusalCode.DATE_IN_THE_PAST, "date")


# -- R28 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "asked_at", "latest", "too_late"),
    [
        (trial, "2027-01-31 10:00", "2027-04-01", "2027-04-02"),
        (trial, "2027-03-10", "2027-04-01", "2027-04-02"),
        # The grace ends at the start of 1 April, so that is its date, but no switch is possible on it (R16).
        (trial_from_midnight, "2027-01-31", "2027-04-01", "2027-04-02"),
        (annual, "2027-01-01 09:00", "2028-01-01", "2028-01-02"),
        (annual, "2027-12-31 23:59", "2028-01-01", "2028-01-02"),
        (monthly, "2027-01-01 09:00", "2028-01-01", "2028-01-02"),
        (monthly, "2027-01-31", "2028-01-31", "2028-02-01"),
        (monthly, "2028-02-29", "2029-02-28", "2029-03-01"),
    ],
)
def test_r28_the_latest_date(
    start: Callable[[], ScenarioBuilder], asked_at: str, latest: str, too_late: str
) -> None:
    subscription = start().at(asked_at)
    refusal = subscription.expect_refusal("cancel", date=too_late)
    assert (refusal.code, refusal.field) == (RefusalCode.DATE_TOO_LATE, "date")
    assert latest in refusal.message
    assert subscription.send("cancel", date=latest).at(latest).state.state == "ERASED"


def test_r28_latest_date_is_the_end_of_the_chain_period() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL").at("2028-06-01")
    assert subscription.expect_refusal("cancel", date="2029-01-02").code is RefusalCode.DATE_TOO_LATE
    subscription.send("cancel", date="2029-01-01")


# -- R29, R32 ----------------------------------------------------------------------------------------


def test_r29_cancellation_is_withdrawable_until_its_date() -> None:
    subscription = monthly().send("cancel", date="2027-03-15").at("2027-03-14 23:59:59")
    assert subscription.send("withdraw_reservation").state.reservation is None
    assert subscription.at("2027-03-16").state.state == "ACTIVE"
    late = monthly().send("cancel", date="2027-03-15").at("2027-03-15 00:00")
    assert late.expect_refusal("withdraw_reservation").code is RefusalCode.SUBSCRIPTION_ENDED


def test_r29_reserved_switch_can_be_withdrawn() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL").at("2027-02-19 23:59:59")
    assert subscription.send("withdraw_reservation").at("2027-02-20").state.state == "TRIAL"
    late = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL").at("2027-02-20")
    assert late.expect_refusal("withdraw_reservation").code is RefusalCode.NOTHING_RESERVED


def test_r29_withdrawal_without_reservation_is_refused() -> None:
    assert trial().expect_refusal("withdraw_reservation").code is RefusalCode.NOTHING_RESERVED
    subscription = annual().send("cancel", date="2027-06-01").send("withdraw_reservation")
    assert subscription.expect_refusal("withdraw_reservation").code is RefusalCode.NOTHING_RESERVED


def test_r29_withdrawal_does_not_restore_replaced_reservation() -> None:
    subscription = annual().send("cancel", date="2027-06-01").send("cancel", date="2027-07-01")
    subscription.send("withdraw_reservation").at("2027-08-01")
    assert (subscription.state.state, subscription.state.reservation) == ("ACTIVE", None)


def test_r29_withdrawal_does_not_undo_processed_deadlines() -> None:
    subscription = monthly().send("change_renewal_option", term="ANNUAL").send("cancel", date="2027-03-15")
    subscription.at("2027-02-10").send("withdraw_reservation")
    # February became a monthly contract because a cancellation was reserved then (R24).
    assert subscription.period == ("MONTHLY", "2027-02-01", "2027-03-01")


def test_r32_reservation_of_same_kind_replaces_and_reports() -> None:
    subscription = annual().send("cancel", date="2027-06-01").send("cancel", date="2027-07-01")
    assert "in place of the one for 2027-06-01" in subscription.message
    assert subscription.at("2027-06-15").state.state == "ACTIVE"
    assert subscription.at("2027-07-01").state.state == "ERASED"
    switch = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL")
    switch.send("switch_to_paid", date="2027-02-10", term="MONTHLY")
    assert "in place of the one for 2027-02-20" in switch.message
    assert switch.at("2027-02-11").period == ("MONTHLY", "2027-02-10", "2027-03-10")


def test_r32_reservation_of_other_kind_is_refused_with_blocker() -> None:
    switched = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL")
    refusal = switched.expect_refusal("cancel", date="2027-02-25")
    assert refusal.code is RefusalCode.SWITCH_RESERVED
    assert "switch to paid is reserved for 2027-02-20" in refusal.message
    leaving = trial().send("cancel", date="2027-02-25")
    refusal = leaving.expect_refusal("switch_to_paid", date="2027-02-20", term="ANNUAL")
    assert refusal.code is RefusalCode.CANCELLATION_RESERVED
    assert "cancellation is reserved for 2027-02-25" in refusal.message


def test_r32_cancellation_for_today_is_never_blocked() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-20", term="ANNUAL").send("cancel")
    assert subscription.at("2027-02-20").state.state == "ERASED"
    assert subscription.ledger == []


def test_r32_switch_for_today_is_never_blocked() -> None:
    subscription = trial().send("cancel", date="2027-02-25").send("switch_to_paid", term="ANNUAL")
    assert subscription.at("2027-02-26").state.state == "ACTIVE"


# -- R30 ---------------------------------------------------------------------------------------------


def test_r30_the_example() -> None:
    subscription = annual().at("2027-07-01 14:00").send("cancel")
    assert subscription.ledger_tuples == [
        *(fee(f"2027-0{m}-01", f"2027-0{m + 1}-01", 30_000) for m in range(1, 7)),
        repayment("2027-01-01", "2027-07-01", 36_000),  # 6 × (36,000 - 30,000)
        termination("2027-07-01", "2028-01-01", 18_000),  # 10% × 6 × 30,000
    ]


def test_r30_reserved_cancellation_costs_the_same() -> None:
    subscription = annual().send("cancel", date="2027-07-01").at("2027-07-01")
    assert charges(subscription) == [
        repayment("2027-01-01", "2027-07-01", 36_000),
        termination("2027-07-01", "2028-01-01", 18_000),
    ]


@pytest.mark.parametrize("date", ["2027-01-01", "2027-01-20", "2027-12-31", "2028-03-05"])
def test_r30_monthly_contract_has_no_penalty(date: str) -> None:
    assert charges(monthly().at(f"{date} 18:00").send("cancel")) == []


def test_r30_first_day_repays_nothing_and_charges_full_rest() -> None:
    assert annual().send("cancel").ledger_tuples == [
        termination("2027-01-01", "2028-01-01", 36_000)
    ]  # 10% × 360,000


def test_r30_last_day_charges_one_remaining_day() -> None:
    subscription = annual().at("2027-12-31").send("cancel")
    assert charges(subscription) == [
        # 11 × 6,000 + 30/31 × 6,000 = 66,000 + 5,806.5
        repayment("2027-01-01", "2027-12-31", 71_806),
        termination("2027-12-31", "2028-01-01", 96),  # 10% × 1/31 × 30,000 = 96.8
    ]


def test_r30_each_rate_applies_to_its_days_last_to_the_rest() -> None:
    subscription = (
        annual().at("2027-04-01").send("upgrade", plan="basic", members=20).at("2027-07-01").send("cancel")
    )
    assert charges(subscription) == [
        # 3 × 10 × (3,600 - 3,000) + 3 × 20 × (7,200 - 6,000) = 18,000 + 72,000
        repayment("2027-01-01", "2027-07-01", 90_000),
        termination("2027-07-01", "2028-01-01", 72_000),  # 10% × 6 × 20 × 6,000
    ]


def test_r30_remainder_uses_plan_and_members_at_cancellation() -> None:
    subscription = annual().at("2027-07-01 09:00").send("upgrade", plan="basic", members=20)
    assert charges(subscription.at("2027-07-01 10:00").send("cancel")) == [
        repayment("2027-01-01", "2027-07-01", 36_000),  # the rate of the upgrade has no complete day yet
        termination("2027-07-01", "2028-01-01", 72_000),
    ]


def test_r30_only_the_current_period_is_repaid() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL").at("2028-07-01").send("cancel")
    assert charges(subscription) == [
        repayment("2028-01-01", "2028-07-01", 36_000),
        termination("2028-07-01", "2029-01-01", 18_000),
    ]


def test_r30_months_before_annual_upgrade_are_not_repaid() -> None:
    subscription = monthly().at("2027-04-01").send("upgrade", term="ANNUAL").at("2027-07-01").send("cancel")
    assert charges(subscription) == [
        repayment("2027-04-01", "2027-07-01", 18_000),  # 3 × 6,000
        termination("2027-07-01", "2028-04-01", 27_000),  # 10% × 9 × 30,000
    ]


def test_r30_days_before_the_upgrade_are_not_repaid() -> None:
    subscription = monthly().at("2027-04-11").send("upgrade", term="ANNUAL").at("2027-07-01").send("cancel")
    assert charges(subscription) == [
        repayment("2027-04-11", "2027-07-01", 16_000),  # 20/30 × 6,000 + 2 × 6,000
        termination("2027-07-01", "2028-04-11", 28_000),  # 10% × (9 × 30,000 + 10/30 × 30,000)
    ]


def test_r30_without_a_discount_there_is_nothing_to_repay() -> None:
    book = book_of(catalogue(plans={"lite": {"list": 3_000}}))
    subscription = (
        ScenarioBuilder.paid(YEAR, "ANNUAL", book, plan="lite", members=10).at("2027-07-01").send("cancel")
    )
    assert charges(subscription) == [termination("2027-07-01", "2028-01-01", 18_000)]


@pytest.mark.parametrize(("percent", "due"), [(0, []), (25, [termination("2027-07-01", NEXT_YEAR, 45_000)])])
def test_r30_the_percentage_is_policy(percent: int, due: list[Posted]) -> None:
    book = book_of(catalogue(cancellation={"fee_percent": percent}))
    subscription = (
        ScenarioBuilder.paid(YEAR, "ANNUAL", book, plan="lite", members=10).at("2027-07-01").send("cancel")
    )
    assert charges(subscription) == [repayment("2027-01-01", "2027-07-01", 36_000), *due]


def test_r30_the_day_after_the_end_is_free_when_reserved() -> None:
    subscription = (
        annual().send("change_renewal_option", term="ANNUAL").send("cancel", date=NEXT_YEAR).at(NEXT_YEAR)
    )
    assert (subscription.state.state, charges(subscription)) == ("ERASED", [])


@pytest.mark.parametrize("moment", ["2028-01-01 00:00", "2028-01-01 23:59:59"])
def test_r30_renewal_start_day_cancels_free_immediately(moment: str) -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL").at(moment)
    assert subscription.period == ("ANNUAL", "2028-01-01", "2029-01-01")
    assert (quote(subscription, "2028-01-01").penalty, charges(subscription.send("cancel"))) == (0, [])


def test_r30_first_day_of_an_annual_renewal_is_free_after_a_monthly_contract() -> None:
    subscription = monthly().send("change_renewal_option", term="ANNUAL").at("2027-02-01 09:00")
    assert subscription.period == ("ANNUAL", "2027-02-01", "2028-02-01")
    assert (quote(subscription, "2027-02-01").penalty, charges(subscription.send("cancel"))) == (0, [])


def test_r30_upgrade_on_free_day_keeps_contract_and_free_day() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL").at("2028-01-01 09:00")
    assert charges(subscription.send("upgrade", members=20).send("cancel")) == []


def test_r30_a_day_into_the_renewal_is_not_free() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL").at("2028-01-02").send("cancel")
    assert subscription.ledger_tuples[-3:] == [
        fee("2028-01-01", "2028-01-02", 967),  # 1/31 × 30,000 = 967.7
        repayment("2028-01-01", "2028-01-02", 193),  # 1/31 × 6,000 = 193.5
        # 30/31 × 30,000 + 11 × 30,000 = 359,032.3; 10%
        termination("2028-01-02", "2029-01-01", 35_903),
    ]


def test_r30_a_quote_is_free_and_changes_nothing() -> None:
    subscription = annual().at("2027-03-10")
    before = subscription.state
    result = quote(subscription, "2027-07-01")
    assert subscription.state is before
    assert posted(result.ledger) == [
        *(fee(f"2027-0{m}-01", f"2027-0{m + 1}-01", 30_000) for m in range(3, 7)),
        repayment("2027-01-01", "2027-07-01", 36_000),
        termination("2027-07-01", "2028-01-01", 18_000),
    ]
    assert (result.penalty, result.total) == (54_000, 174_000)  # 4 × 30,000 + 54,000
    assert result.free_on == day(NEXT_YEAR)


# -- R31 ---------------------------------------------------------------------------------------------

PERSONAL = ("acme.co.kr", "two.kr", "kim.min-ji", "Acme Korea", "+8221234", TOKEN)


def subscription_with_personal_data() -> ScenarioBuilder:
    subscription = annual(account={"domain": "acme.co.kr"}, admin_id="kim.min-ji")
    return subscription.send("rename_account", domain="two.kr")


def has_no_personal_data(record: str) -> bool:
    return not any(name in record for name in PERSONAL)


def test_r31_erasure_follows_straight_after_cancelling() -> None:
    subscription = (
        subscription_with_personal_data().at("2027-03-10 12:00").send("cancel").at("2027-03-10 12:00")
    )
    assert subscription.event_names[-2:] == ["CANCELED", "ERASED"]
    assert (subscription.state.state, subscription.state.access) == ("ERASED", "NONE")


def test_r31_erased_state_has_no_personal_data() -> None:
    subscription = subscription_with_personal_data()
    assert not has_no_personal_data(subscription.state.model_dump_json())
    assert has_no_personal_data(subscription.send("cancel").at(subscription.now).state.model_dump_json())


def test_r31_erased_workflow_can_be_found_by_its_state_only() -> None:
    subscription = subscription_with_personal_data()
    assert search_attribute_values(subscription.state)["AccountName"] == "acme.co.kr"
    left = search_attribute_values(subscription.send("cancel").at(subscription.now).state)
    assert {name: value for name, value in left.items() if value} == {"SubscriptionState": "ERASED"}


def test_r31_status_is_available_after_erasure() -> None:
    subscription = subscription_with_personal_data()
    assert status_of(subscription.state, POLICY).account == "kim.min-ji@acme.co.kr"
    left = status_of(subscription.send("cancel").at(subscription.now).state, POLICY)
    assert (left.state, left.account, left.proofs, left.next) == ("ERASED", None, (), None)
    assert has_no_personal_data(left.model_dump_json())


def test_r31_billing_account_and_ledger_remain() -> None:
    subscription = (
        subscription_with_personal_data().at("2027-03-10 12:00").send("cancel").at("2027-03-10 12:00")
    )
    assert subscription.state.customer_id == "customer-1"
    assert subscription.state.ended_at == on("2027-03-10 12:00")
    assert subscription.ledger
    assert has_no_personal_data("".join(line.model_dump_json() for line in subscription.ledger))
    assert has_no_personal_data("".join(entry.model_dump_json() for entry in subscription.timeline))


def test_r31_events_keep_personal_data_in_private_fields() -> None:
    subscription = (
        subscription_with_personal_data()
        .proves("two.kr")
        .at("2027-01-09")
        .send("rename_account", domain="acme.co.kr")
    )
    subscription.send("rename_account", domain="two.kr").send("cancel").at(subscription.now)
    for event in subscription.events:
        assert has_no_personal_data(event.model_dump_json(exclude=set(private_fields(event)))), event.event


def test_r31_the_terms_that_were_agreed_to_stay() -> None:
    started = subscription_with_personal_data().events[0]
    assert started.event == "TRIAL_STARTED"
    assert "agreed_terms" not in private_fields(started)


def test_r31_state_has_no_company_data_or_password() -> None:
    record = annual().state.model_dump_json()
    assert not any(known in record for known in ("Acme Korea", "+8221234", "argon2id"))


def test_r31_second_erasure_changes_nothing() -> None:
    subscription = subscription_with_personal_data().send("cancel").at(YEAR + " 10:00")
    again = apply(subscription.state, Erased(at=on("2027-06-01")))
    counted = {"sequence", "last_at"}
    assert again.model_dump(exclude=counted) == subscription.state.model_dump(exclude=counted)


def test_r31_invalid_command_refusal_omits_sent_values() -> None:
    refusal = subscription_with_personal_data().expect_refusal(
        "cancel", date="kim.min-ji", confirmation=["kim.min-ji@acme.co.kr"]
    )
    assert has_no_personal_data(refusal.model_dump_json())


def test_r31_invalid_command_refusal_omits_sent_field_names() -> None:
    # A refused signal is recorded in the timeline, which is retained after the erasure.
    refusal = subscription_with_personal_data().expect_refusal("cancel", **{"kim.min-ji@acme.co.kr": 1})
    assert has_no_personal_data(refusal.message)


def test_r31_nothing_follows_an_erasure() -> None:
    subscription = subscription_with_personal_data().send("cancel").at(erased_at := on("2027-01-01 09:00"))
    before: Subscription = subscription.state
    assert subscription.at(erased_at + timedelta(days=3650)).state == before


# -- R33 ---------------------------------------------------------------------------------------------


def test_r33_today_is_korean_date_of_the_given_clock() -> None:
    # 15:30 UTC on 9 March is 10 March in Korea.
    subscription = annual()
    subscription.at(on("2027-03-10 00:30").astimezone(UTC))
    assert subscription.expect_refusal("cancel", date="2027-03-09").code is RefusalCode.DATE_IN_THE_PAST
    assert subscription.send("cancel", date="2027-03-10").state.state == "CANCELED"


@pytest.mark.parametrize("year", [2030, 2099, 2150])
def test_r33_every_check_uses_the_given_clock(year: int) -> None:
    subscription = ScenarioBuilder.requested(f"{year}-01-31 10:00")
    assert (
        subscription.expect_refusal("switch_to_paid", date=f"{year}-01-30", term="ANNUAL").code
        is RefusalCode.DATE_IN_THE_PAST
    )
    assert (
        subscription.expect_refusal("switch_to_paid", date=f"{year}-05-01", term="ANNUAL").code
        is RefusalCode.DATE_TOO_LATE
    )
    subscription.send("switch_to_paid", term="ANNUAL").at(f"{year}-06-01")
    assert subscription.expect_refusal("cancel", date=f"{year}-05-31").code is RefusalCode.DATE_IN_THE_PAST
    assert subscription.expect_refusal("cancel", date=f"{year + 1}-02-01").code is RefusalCode.DATE_TOO_LATE
    subscription.send("cancel", date=f"{year + 1}-01-31")


def test_r33_shifted_scenario_has_the_same_outcome() -> None:
    # 2027 and 2038 have the same calendar.
    def run_year(year: int) -> list[Posted]:
        subscription = ScenarioBuilder.paid(f"{year}-01-15", "ANNUAL", members=7).at(f"{year}-05-05 12:00")
        return (
            subscription.send("upgrade", members=9)
            .send("cancel", date=f"{year}-11-20")
            .at(f"{year}-12-31")
            .ledger_tuples
        )

    assert [line.amount for line in run_year(2027)] == [line.amount for line in run_year(2038)]
