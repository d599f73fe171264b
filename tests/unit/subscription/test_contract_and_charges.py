"""Contract periods, prices, money arithmetic, monthly fees and deadlines: R18 to R23."""

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from support.scenario_builder import (
    BOOK,
    ScenarioBuilder,
    book_of,
    catalogue,
    day,
    fee,
    on,
    posted,
    repayment,
    termination,
)

from subscription.business_calendar import KST
from subscription.commands import Command, parse_command
from subscription.contract import rate_of
from subscription.due_events import due_events
from subscription.forecast import quote_cancellation
from subscription.idempotency import MOST_RECENT, Known, RecentCommands
from subscription.ledger import service_fees
from subscription.money import exact_krw, prorated_parts, round_down
from subscription.refusals import Refusal, RefusalCode


def periods(subscription: ScenarioBuilder, *moments: str) -> list[tuple[str, str, str]]:
    return [subscription.at(moment).period for moment in moments]


# -- R18 ---------------------------------------------------------------------------------------------


def test_r18_contract_length_is_twelve_months_or_one() -> None:
    assert ScenarioBuilder.paid("2027-05-20", "ANNUAL").period == ("ANNUAL", "2027-05-20", "2028-05-20")
    assert ScenarioBuilder.paid("2027-05-20", "MONTHLY").period == ("MONTHLY", "2027-05-20", "2027-06-20")


def test_r18_months_count_from_the_first_day_of_the_chain() -> None:
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY")
    assert periods(subscription, "2027-02-01", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31") == [
        ("MONTHLY", "2027-01-31", "2027-02-28"),
        ("MONTHLY", "2027-02-28", "2027-03-31"),
        ("MONTHLY", "2027-03-31", "2027-04-30"),
        ("MONTHLY", "2027-04-30", "2027-05-31"),
        ("MONTHLY", "2027-05-31", "2027-06-30"),
    ]


def test_r18_a_chain_of_years_from_a_leap_day_returns_to_it() -> None:
    subscription = ScenarioBuilder.paid("2028-02-29", "ANNUAL").send("change_renewal_option", term="ANNUAL")
    assert periods(subscription, "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29") == [
        ("ANNUAL", "2029-02-28", "2030-02-28"),
        ("ANNUAL", "2030-02-28", "2031-02-28"),
        ("ANNUAL", "2031-02-28", "2032-02-29"),
        ("ANNUAL", "2032-02-29", "2033-02-28"),
    ]


def test_r18_other_term_starts_a_new_chain() -> None:
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY").send("change_renewal_option", term="ANNUAL")
    assert subscription.at("2027-02-28").period == ("ANNUAL", "2027-02-28", "2028-02-28")
    subscription.send("change_renewal_option", term=None)
    # The 31st is not restored: the following chain of months counts from the 28th.
    assert periods(subscription, "2028-02-28", "2028-03-28") == [
        ("MONTHLY", "2028-02-28", "2028-03-28"),
        ("MONTHLY", "2028-03-28", "2028-04-28"),
    ]


def test_r18_r25_upgrade_within_term_keeps_the_chain() -> None:
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY").at("2027-03-10").send("upgrade", members=11)
    assert periods(subscription, "2027-03-10", "2027-03-31", "2027-04-30") == [
        ("MONTHLY", "2027-02-28", "2027-03-31"),
        ("MONTHLY", "2027-03-31", "2027-04-30"),
        ("MONTHLY", "2027-04-30", "2027-05-31"),
    ]


# -- R19, R20 ----------------------------------------------------------------------------------------


def test_r19_monthly_pays_list_price_annual_pays_annual_price() -> None:
    monthly = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="basic", members=10).at("2027-03-01")
    assert monthly.ledger_tuples == [
        fee("2027-01-01", "2027-02-01", 72_000),
        fee("2027-02-01", "2027-03-01", 72_000),
    ]
    annual = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="basic", members=10).at("2027-03-01")
    assert annual.ledger_tuples == [
        fee("2027-01-01", "2027-02-01", 60_000),
        fee("2027-02-01", "2027-03-01", 60_000),
    ]


@pytest.mark.parametrize(
    ("first_day", "end_day", "exact"),
    [
        ("2027-03-01", "2027-03-15", Fraction(14 * 36_000, 31)),
        ("2027-03-01", "2027-04-01", Fraction(36_000)),
        ("2027-03-31", "2027-04-01", Fraction(36_000, 31)),
        # 15 days of a leap-year February and 15 days of March are different shares.
        ("2028-02-15", "2028-03-16", Fraction(15 * 36_000, 29) + Fraction(15 * 36_000, 31)),
        ("2027-02-15", "2027-03-16", Fraction(14 * 36_000, 28) + Fraction(15 * 36_000, 31)),
        ("2027-06-15", "2028-06-15", Fraction(12 * 36_000)),
        ("2027-06-15", "2027-06-15", Fraction(0)),
    ],
)
def test_r20_each_calendar_month_counts_its_own_share(first_day: str, end_day: str, exact: Fraction) -> None:
    assert exact_krw(prorated_parts(3_600, 10, day(first_day), day(end_day))) == exact


def test_r20_a_part_and_the_rest_make_the_whole() -> None:
    whole = prorated_parts(3_600, 7, day("2027-01-20"), day("2028-03-03"))
    for cut in ("2027-01-31", "2027-02-01", "2027-12-31", "2028-02-29"):
        before = prorated_parts(3_600, 7, day("2027-01-20"), day(cut))
        assert before + prorated_parts(3_600, 7, day(cut), day("2028-03-03")) == whole


def test_r20_huge_amounts_stay_exact() -> None:
    # 100,000,000 KRW for 10,000,000 members exceeds the precision of a float.
    parts = prorated_parts(100_000_000, 10_000_000, day("2027-03-01"), day("2027-03-02"))
    assert round_down(parts) == 10**15 // 31


def test_r20_a_line_is_rounded_down_once_and_not_month_by_month() -> None:
    subscription = (
        ScenarioBuilder.paid("2027-01-15", "ANNUAL", plan="basic", members=10).at("2027-02-11").send("cancel")
    )
    assert subscription.ledger_tuples == [
        fee("2027-01-15", "2027-02-01", 32_903),  # 17/31 × 60,000 = 32,903.2
        fee("2027-02-01", "2027-02-11", 21_428),  # 10/28 × 60,000 = 21,428.6
        # 17/31 × 12,000 + 10/28 × 12,000 = 6,580.65 + 4,285.71 = 10,866.36; by the month 10,865
        repayment("2027-01-15", "2027-02-11", 10_866),
        # 18/28 × 60,000 + 10 × 60,000 + 14/31 × 60,000 = 38,571.43 + 600,000 + 27,096.77 = 665,668.20; 10%
        termination("2027-02-11", "2028-01-15", 66_566),
    ]


def test_r20_a_line_of_zero_is_not_posted() -> None:
    free = book_of(catalogue(plans={"lite": {"list": 0, "annual": 0}}))
    subscription = (
        ScenarioBuilder.paid("2027-01-01", "ANNUAL", free, plan="lite").at("2027-06-15").send("cancel")
    )
    assert subscription.ledger == []


def test_r20_amount_below_one_won_is_not_posted() -> None:
    cheap = book_of(catalogue(plans={"lite": {"list": 1, "annual": 1}}))
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY", cheap, plan="lite", members=30).at(
        "2027-02-01"
    )
    assert subscription.ledger_tuples == []  # 1/31 × 30 = 0.97
    more = ScenarioBuilder.paid("2027-01-31", "MONTHLY", cheap, plan="lite", members=31).at("2027-02-01")
    assert more.ledger_tuples == [fee("2027-01-31", "2027-02-01", 1)]  # 1/31 × 31 = 1


# -- R21 ---------------------------------------------------------------------------------------------


def test_r21_the_example_of_an_upgrade_in_march() -> None:
    subscription = ScenarioBuilder.paid("2027-03-01", "MONTHLY", plan="lite", members=10)
    subscription.at("2027-03-15 14:00").send("upgrade", plan="basic").at("2027-04-01")
    assert subscription.ledger_tuples == [
        fee("2027-03-01", "2027-03-15", 16_258),  # 14/31 × 36,000 = 16,258.06
        fee("2027-03-15", "2027-04-01", 39_483),  # 17/31 × 72,000 = 39,483.87
    ]


def test_r21_fees_post_on_the_first_for_the_previous_month() -> None:
    subscription = ScenarioBuilder.paid("2027-01-15", "MONTHLY", plan="basic", members=10).at(
        "2027-01-31 23:59:59"
    )
    assert subscription.ledger == []
    subscription.at("2027-02-01 00:00")
    assert subscription.ledger_tuples == [
        fee("2027-01-15", "2027-02-01", 39_483)
    ]  # 17/31 × 72,000 = 39,483.87
    assert subscription.ledger[0].effective_at == on("2027-02-01")


def test_r21_a_new_period_alone_does_not_break_a_run() -> None:
    subscription = ScenarioBuilder.paid("2027-01-15", "MONTHLY", plan="basic", members=10).at("2027-03-01")
    assert subscription.event_names.count("CONTRACT_RENEWED") == 1
    assert subscription.ledger_tuples[1:] == [fee("2027-02-01", "2027-03-01", 72_000)]


def test_r21_new_contract_at_same_price_keeps_the_run() -> None:
    # Without an annual discount, MONTHLY and ANNUAL have the same rate.
    book = book_of(catalogue(plans={"lite": {"list": 3_000, "annual": 3_000}}))
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", book, plan="lite", members=1)
    subscription.at("2027-04-11").send("upgrade", term="ANNUAL").at("2027-05-01")
    assert subscription.ledger_tuples == [fee("2027-04-01", "2027-05-01", 3_000)]


def test_r21_new_contract_at_other_price_splits_the_run() -> None:
    subscription = ScenarioBuilder.paid("2027-01-15", "ANNUAL", plan="basic", members=10).at("2028-02-01")
    assert subscription.ledger_tuples[-2:] == [
        fee("2028-01-01", "2028-01-15", 27_096),  # 14/31 × 60,000 = 27,096.77
        fee("2028-01-15", "2028-02-01", 39_483),  # 17/31 × 72,000 = 39,483.87: without option, monthly
    ]


def test_r21_three_rates_in_a_month() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1)
    subscription.at("2027-04-11").send("upgrade", plan="basic")
    subscription.at("2027-04-21").send("upgrade", plan="premium", members=2).at("2027-05-01")
    assert subscription.ledger_tuples == [
        fee("2027-04-01", "2027-04-11", 1_200),  # 10/30 × 3,600
        fee("2027-04-11", "2027-04-21", 2_400),  # 10/30 × 7,200
        fee("2027-04-21", "2027-05-01", 8_000),  # 10/30 × 24,000
    ]


def test_r21_the_last_change_made_on_a_day_is_that_days_rate() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1)
    subscription.at("2027-04-11 09:00").send("upgrade", plan="basic")
    subscription.at("2027-04-11 23:59").send("upgrade", plan="premium").at("2027-05-01")
    assert subscription.ledger_tuples == [
        fee("2027-04-01", "2027-04-11", 1_200),  # 10/30 × 3,600
        fee("2027-04-11", "2027-05-01", 8_000),  # 20/30 × 12,000
    ]


def test_r21_a_change_on_the_first_day_is_the_first_rate() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1).send(
        "upgrade", plan="basic"
    )
    assert subscription.at("2027-05-01").ledger_tuples == [fee("2027-04-01", "2027-05-01", 7_200)]


def test_r21_change_on_the_first_leaves_previous_month_unchanged() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1)
    subscription.at("2027-05-01 00:00").send("upgrade", plan="basic").at("2027-06-01")
    assert subscription.ledger_tuples == [
        fee("2027-04-01", "2027-05-01", 3_600),
        fee("2027-05-01", "2027-06-01", 7_200),
    ]


def test_r21_cancelling_posts_days_before_the_date() -> None:
    subscription = (
        ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1)
        .at("2027-04-11 18:00")
        .send("cancel")
    )
    assert subscription.ledger_tuples == [
        fee("2027-04-01", "2027-04-11", 1_200)
    ]  # 10/30 × 3,600: not the 11th
    assert subscription.ledger[0].effective_at == on("2027-04-11 18:00")


def test_r21_cancelling_with_three_rates_posts_each() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY", plan="lite", members=1)
    subscription.at("2027-04-11").send("upgrade", plan="basic").at("2027-04-21").send(
        "upgrade", plan="premium"
    )
    assert subscription.send("cancel").ledger_tuples == [
        fee("2027-04-01", "2027-04-11", 1_200),
        fee("2027-04-11", "2027-04-21", 2_400),
    ]


def test_r21_the_day_of_the_cancellation_is_never_charged() -> None:
    subscription = ScenarioBuilder.paid("2027-04-01", "MONTHLY").at("2027-04-01 23:59").send("cancel")
    assert subscription.ledger == []


def test_r21_trial_and_grace_are_never_charged() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", plan="lite", members=1)
    subscription.at("2027-02-15 09:00").send("switch_to_paid", term="MONTHLY").at("2027-03-01")
    assert subscription.ledger_tuples == [fee("2027-02-15", "2027-03-01", 1_800)]  # 14/28 × 3,600


def test_r21_late_fees_are_posted_month_by_month() -> None:
    # A line never crosses the first of a month, even when three months are processed together.
    prices = BOOK.prices("lite", day("2027-01-10"))
    subscription = ScenarioBuilder.paid("2027-01-10", "MONTHLY", plan="lite", members=1)
    assert subscription.state.contract is not None
    rate = rate_of("lite", prices, 1, subscription.state.contract.term, day("2027-01-10"))
    lines = service_fees("sub-1", [rate], day("2027-01-10"), day("2027-03-03"), on("2027-03-03"))
    assert posted(lines) == [
        fee("2027-01-10", "2027-02-01", 2_554),  # 22/31 × 3,600 = 2,554.8
        fee("2027-02-01", "2027-03-01", 3_600),
        fee("2027-03-01", "2027-03-03", 232),  # 2/31 × 3,600 = 232.3
    ]


# -- R22 ---------------------------------------------------------------------------------------------


def test_r22_line_key_is_subscription_kind_and_first_day() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL").at("2027-01-15").send("cancel")
    assert [line.key for line in subscription.ledger] == [
        "sub-1/SERVICE_FEE/2027-01-01",
        "sub-1/DISCOUNT_REPAYMENT/2027-01-01",
        "sub-1/EARLY_TERMINATION_FEE/2027-01-15",
    ]


def read(name: str, **argument: object) -> Command:
    command = parse_command(name, argument)
    assert not isinstance(command, Refusal), command
    return command


def test_r22_repeated_command_is_recognized_from_any_sender() -> None:
    first = read("switch_to_paid", date="2027-01-01", term="ANNUAL", id="a", by="kim")
    again = read("switch_to_paid", date="2027-01-01", term="ANNUAL", at="2027-01-01T09:00:00+09:00")
    assert first.fingerprint() == again.fingerprint()


@pytest.mark.parametrize(
    "change", [{"date": "2027-01-02"}, {"term": "MONTHLY"}, {"plan": "lite"}, {"members": 1}]
)
def test_r22_other_command_under_same_id_is_distinguished(change: dict[str, object]) -> None:
    argument = {"date": "2027-01-01", "term": "ANNUAL"}
    assert (
        read("switch_to_paid", **argument).fingerprint()
        != read("switch_to_paid", **{**argument, **change}).fingerprint()
    )


def test_r22_commands_of_different_names_are_distinguished() -> None:
    assert read("withdraw_reservation").fingerprint() != read("check_domain").fingerprint()


def test_r22_largest_json_number_has_a_fingerprint() -> None:
    command = parse_command("upgrade", {"members": 10**4299, "agreed_terms": []})
    assert isinstance(command, Refusal) or command.fingerprint()


ACCEPTED_AT = datetime(2027, 1, 1, 9, tzinfo=KST)


def renamed(to: str) -> RecentCommands:
    """Return the recent commands after a rename with the id `r-1` was accepted."""
    return RecentCommands().adding(read("rename_account", group=to, id="r-1"), ACCEPTED_AT)


def test_r22_accepted_command_is_recognized_for_30_days() -> None:
    later, now = read("withdraw_reservation", id="w-1"), ACCEPTED_AT + timedelta(days=30)
    recent = renamed("other").adding(later, now)
    assert recent.known(read("rename_account", group="other", id="r-1"), now) is Known.ACCEPTED
    assert recent.known(later, now) is Known.ACCEPTED


def test_r22_expired_id_is_accepted_as_new() -> None:
    command, now = read("rename_account", group="third", id="r-1"), ACCEPTED_AT + timedelta(days=31)
    recent = renamed("other").adding(read("check_domain", id="c-1"), now)
    assert recent.known(command, now) is Known.NEW


def test_r22_refused_command_is_validated_again() -> None:
    recent = renamed("other")
    assert recent.known(read("rename_account", group="other", id="r-2"), ACCEPTED_AT) is Known.NEW
    assert recent.known(read("rename_account", group="other"), ACCEPTED_AT) is Known.NEW


def test_r22_a_command_without_an_id_is_not_remembered() -> None:
    assert RecentCommands().adding(read("check_domain"), ACCEPTED_AT) == RecentCommands()


def test_r22_id_identifies_one_command() -> None:
    answer = renamed("other").known(read("check_domain", id="r-1"), ACCEPTED_AT)
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.COMMAND_ID_REUSED


def test_r22_other_rename_under_same_id_is_refused() -> None:
    # Confirming a rename that was not executed would be false.
    answer = renamed("other").known(read("rename_account", group="third", id="r-1"), ACCEPTED_AT)
    assert isinstance(answer, Refusal)


def test_r22_recent_commands_are_bounded_without_guessing() -> None:
    """A dropped id is not treated as new before 31 days have passed."""
    recent, now = RecentCommands(), ACCEPTED_AT
    for number in range(MOST_RECENT + 5):
        now = ACCEPTED_AT + timedelta(seconds=number)
        recent = recent.adding(read("change_renewal_option", term="ANNUAL", id=f"{number}" * 40), now)
    assert len(recent.accepted) == MOST_RECENT
    assert len(recent.model_dump_json()) < 100_000
    dropped = read("change_renewal_option", term="ANNUAL", id="4" * 40)
    assert recent.known(dropped, now) is Known.UNKNOWN
    assert recent.known(read("check_domain", id="never-sent"), now) is Known.UNKNOWN
    assert recent.known(dropped, ACCEPTED_AT + timedelta(seconds=4, days=31)) is Known.NEW


# -- R23 ---------------------------------------------------------------------------------------------


def test_r23_service_fees_post_before_simultaneous_cancellation() -> None:
    subscription = ScenarioBuilder.paid("2027-02-01", "MONTHLY", plan="lite", members=1).send(
        "cancel", date="2027-03-01"
    )
    subscription.at("2027-03-01")
    # The contract period also ends at that instant, but has no successor.
    assert subscription.event_names[3:] == ["SERVICE_FEES_POSTED", "CANCELED", "ERASED"]
    assert subscription.ledger_tuples == [fee("2027-02-01", "2027-03-01", 3_600)]


def test_r23_service_fees_post_before_simultaneous_period_end() -> None:
    subscription = ScenarioBuilder.paid("2027-02-01", "MONTHLY").at("2027-03-01")
    assert subscription.event_names[2:] == ["SERVICE_FEES_POSTED", "CONTRACT_RENEWED"]


def test_r23_the_switch_comes_before_the_end_of_the_trial() -> None:
    # 30 days after the start of 31 January is the start of 2 March.
    subscription = ScenarioBuilder.requested("2027-01-31 00:00").send(
        "switch_to_paid", date="2027-03-02", term="ANNUAL"
    )
    subscription.at("2027-03-02")
    assert subscription.event_names == ["TRIAL_STARTED", "SWITCH_RESERVED", "SWITCHED_TO_PAID"]


@pytest.mark.parametrize(
    ("ends", "before"),
    [
        ("2027-03-02", ["TRIAL_STARTED", "CANCELLATION_RESERVED"]),
        ("2027-04-01", ["TRIAL_STARTED", "CANCELLATION_RESERVED", "TRIAL_ENDED"]),
    ],
)
def test_r23_cancellation_precedes_end_of_trial_or_grace(ends: str, before: list[str]) -> None:
    subscription = ScenarioBuilder.requested("2027-01-31 00:00").send("cancel", date=ends).at(ends)
    assert subscription.event_names == [*before, "CANCELED", "ERASED"]
    canceled = subscription.events[-2]
    assert canceled.event == "CANCELED"
    assert canceled.because == "RESERVED"


def test_r23_missed_deadlines_run_in_order_with_their_dates() -> None:
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY", plan="lite", members=1)
    events = due_events(subscription.state, on("2027-04-02 17:45"), subscription.book)
    assert [(event.event, event.at) for event in events] == [
        ("SERVICE_FEES_POSTED", on("2027-02-01")),
        ("CONTRACT_RENEWED", on("2027-02-28")),
        ("SERVICE_FEES_POSTED", on("2027-03-01")),
        ("CONTRACT_RENEWED", on("2027-03-31")),
        ("SERVICE_FEES_POSTED", on("2027-04-01")),
    ]


def test_r23_sleeping_for_years_is_the_same_as_waking_every_day() -> None:
    def started() -> ScenarioBuilder:
        subscription = ScenarioBuilder.paid("2027-01-31", "ANNUAL").send(
            "change_renewal_option", term="ANNUAL", members=4
        )
        return subscription.send("cancel", date="2028-01-31")

    asleep, awake = started().at("2028-03-01"), started()
    while awake.now < asleep.now:
        awake.at(awake.now + timedelta(days=1))
    assert asleep.timeline == awake.timeline
    assert asleep.ledger == awake.ledger


def test_r23_due_deadlines_run_before_a_quote() -> None:
    stale = ScenarioBuilder.paid("2027-01-31", "ANNUAL")
    now, requested_date = on("2028-02-10 10:00"), day("2028-02-10")
    late = quote_cancellation(stale.state, requested_date, now, stale.book)
    assert late == stale.at(now).quoted(requested_date)


def test_r23_a_moment_before_the_deadline_nothing_is_due() -> None:
    subscription = ScenarioBuilder.paid("2027-02-01", "MONTHLY")
    assert (
        due_events(subscription.state, on("2027-03-01") - timedelta(microseconds=1), subscription.book) == []
    )
