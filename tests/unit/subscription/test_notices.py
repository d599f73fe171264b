"""Customer notices and their dates: each is due once and announces only real upcoming events."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, day, on

from subscription.account import Account, AccountKind
from subscription.catalogue import NoticePolicy
from subscription.events import Canceled, ContractRenewed, SwitchedToPaid, TrialEnded
from subscription.notice_outbox import Addressee, NoticeKind, retry_delay
from subscription.notices import Notice, administrator_address, notices_due, recipients

TRIAL_ENDING, DELETION_DUE = NoticeKind.TRIAL_ENDING, NoticeKind.DELETION_DUE
SWITCH_DUE, CONTRACT_ENDING = NoticeKind.SWITCH_DUE, NoticeKind.CONTRACT_ENDING
DOMAIN_UNVERIFIED, RENAME_UNVERIFIED = NoticeKind.DOMAIN_UNVERIFIED, NoticeKind.RENAME_UNVERIFIED

DueNotice = tuple[NoticeKind, str, int]


def due_notices(subscription: ScenarioBuilder, on_day: str) -> list[DueNotice]:
    """Return the notices due on a day, if no further command arrives until then."""
    return [
        (each.kind, each.event_date.isoformat(), each.threshold_days) for each in due(subscription, on_day)
    ]


def due(subscription: ScenarioBuilder, on_day: str) -> tuple[Notice, ...]:
    return notices_due(subscription.state, day(on_day), subscription.book)


def only_notice(subscription: ScenarioBuilder, on_day: str) -> Notice:
    [notice] = due(subscription, on_day)
    return notice


def trial(**changes: Any) -> ScenarioBuilder:
    """Build a trial from 1 January 2027 at 10:00; it ends on 31 January at 10:00, the grace on 2 March."""
    return ScenarioBuilder.requested("2027-01-01 10:00", **changes)


def annual(**changes: Any) -> ScenarioBuilder:
    """Build an annual contract for 2027: lite for 10 members, 30,000 a month, 36,000 at list price."""
    return ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10, **changes)


# -- the days ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_day", "days"),
    [
        ("2027-01-01", None),
        ("2027-01-23", None),
        ("2027-01-24", 7),
        ("2027-01-25", 7),
        ("2027-01-27", 7),
        ("2027-01-28", 3),
        ("2027-01-29", 3),
        ("2027-01-30", 1),
        ("2027-01-31", None),
        ("2027-02-01", None),
    ],
)
def test_trial_end_notice_uses_the_last_reached_day(on_day: str, days: int | None) -> None:
    assert due_notices(trial(), on_day) == ([(TRIAL_ENDING, "2027-01-31", days)] if days else [])


@pytest.mark.parametrize(
    ("on_day", "days"),
    [
        ("2027-12-01", None),
        ("2027-12-02", 30),
        ("2027-12-24", 30),
        ("2027-12-25", 7),
        ("2027-12-31", 7),
        ("2028-01-01", None),
    ],
)
def test_annual_contract_end_notice_uses_the_last_reached_day(on_day: str, days: int | None) -> None:
    assert due_notices(annual(), on_day) == ([(CONTRACT_ENDING, "2028-01-01", days)] if days else [])


@pytest.mark.parametrize(
    ("first_day", "end_day", "first_due"),
    [
        ("2027-01-31", "2027-02-28", "2027-02-21"),
        ("2028-01-31", "2028-02-29", "2028-02-22"),
        ("2027-02-01", "2027-03-01", "2027-02-22"),
        ("2027-12-28", "2028-01-28", "2028-01-21"),
    ],
)
def test_r34_monthly_contract_end_is_told_only_with_a_change(
    first_day: str, end_day: str, first_due: str
) -> None:
    subscription = ScenarioBuilder.paid(first_day, "MONTHLY")
    days = days_from(first_day, end_day)
    assert [on_day for on_day in days if due_notices(subscription, on_day)] == []
    subscription.send("change_renewal_option", term="MONTHLY")
    assert [on_day for on_day in days if due_notices(subscription, on_day)] == []
    subscription.send("change_renewal_option", term="MONTHLY", members=9)
    assert [on_day for on_day in days if due_notices(subscription, on_day)] == days_from(first_due, end_day)
    assert due_notices(subscription, first_due) == [(CONTRACT_ENDING, end_day, 7)]


def test_chain_notices_use_the_end_of_each_period() -> None:
    subscription = ScenarioBuilder.paid("2027-01-31", "MONTHLY").at("2027-03-01")
    subscription.send("change_renewal_option", term="ANNUAL")
    assert due_notices(subscription, "2027-03-24") == [(CONTRACT_ENDING, "2027-03-31", 7)]
    leap = ScenarioBuilder.paid("2028-02-29", "ANNUAL")
    assert due_notices(leap, "2029-01-29") == [(CONTRACT_ENDING, "2029-02-28", 30)]


def test_short_trial_notice_is_due_on_its_second_day() -> None:
    subscription = trial(book=book_of(catalogue(trial={"days": 5})))
    assert [
        on_day
        for on_day in days_from("2027-01-01", "2027-01-08")
        if (TRIAL_ENDING, "2027-01-06", 7) in due_notices(subscription, on_day)
    ] == ["2027-01-01", "2027-01-02"]


def test_notice_days_are_policy_and_may_be_empty() -> None:
    book = book_of(catalogue(notices={"trial_days": [10], "annual_contract_days": []}))
    assert due_notices(trial(book=book), "2027-01-21") == [(TRIAL_ENDING, "2027-01-31", 10)]
    assert due_notices(annual(book=book), "2027-12-31") == []
    never: dict[str, list[int]] = {name: [] for name in NoticePolicy.model_fields if name.endswith("_days")}
    silent = trial(book=book_of(catalogue(notices=never)), account={"domain": "acme.co.kr"})
    assert [on_day for on_day in days_from("2027-01-01", "2027-03-01") if due_notices(silent, on_day)] == []


@pytest.mark.parametrize(
    ("days", "kind", "happens_on"),
    [
        ("trial_days", TRIAL_ENDING, "2027-01-31"),
        ("reservation_days", SWITCH_DUE, "2027-01-31"),
        ("deletion_days", DELETION_DUE, "2027-12-01"),
        ("annual_contract_days", CONTRACT_ENDING, "2028-01-01"),
        ("price_rise_days", NoticeKind.PRICE_RISE, "2028-01-01"),
        ("monthly_contract_days", CONTRACT_ENDING, "2028-02-01"),
    ],
)
def test_notice_days_of_each_list_may_be_the_earliest(days: str, kind: NoticeKind, happens_on: str) -> None:
    notices: dict[str, object] = {name: [] for name in NoticePolicy.model_fields}
    notices |= {days: [20], "group_mail_domain": "acme.example"}
    dearer = catalogue(
        "2028-01-01", announced_on="2027-11-20", plans={"lite": {"annual": 3_100}}, notices=notices
    )
    book = book_of(catalogue(notices=notices), dearer)
    match kind:
        case NoticeKind.TRIAL_ENDING:
            subscription = trial(book=book)
        case NoticeKind.SWITCH_DUE:
            subscription = trial(book=book).send("switch_to_paid", date=happens_on, term="ANNUAL")
        case _ if days == "monthly_contract_days":
            subscription = ScenarioBuilder.paid("2028-01-01", "MONTHLY", book)
            subscription.send("change_renewal_option", term="ANNUAL")
        case _:
            subscription = annual(book=book).send("change_renewal_option", term="ANNUAL")
    if kind is DELETION_DUE:
        subscription.send("cancel", date=happens_on, confirmation=subscription.state.admin_account)
    noticed_on = day(happens_on) - timedelta(days=20)
    assert due_notices(subscription, f"{noticed_on - timedelta(days=1)}") == []
    assert due_notices(subscription, f"{noticed_on}") == [(kind, happens_on, 20)]


def test_notice_policy_is_that_of_the_newest_version() -> None:
    later = catalogue("2030-01-01", notices={"trial_days": [2]})
    subscription = trial(book=book_of(catalogue(), later))
    assert due_notices(subscription, "2027-01-28") == []
    assert due_notices(subscription, "2027-01-29") == [(TRIAL_ENDING, "2027-01-31", 2)]


# -- each once, even after missed days ---------------------------------------------------------------


@given(st.sets(st.integers(0, 40)))
def test_missed_days_still_yield_each_notice_once(worked: set[int]) -> None:
    subscription = trial()
    ends = day("2027-01-31")
    seen = [
        (each.key, ends - today)
        for today in (day("2027-01-01") + timedelta(days=number) for number in sorted(worked))
        for each in notices_due(subscription.state, today, BOOK)
    ]
    first_time = dict(reversed(seen))
    # With n days left, the job runs on day 30 - n. Step 7 covers days 7 to 4, step 3 covers 3 and 2.
    expected = {days for days, until in ((7, 4), (3, 2), (1, 1)) if worked & {*range(30 - days, 31 - until)}}
    assert {key[2] for key in first_time} == expected
    assert all(timedelta(0) < left <= timedelta(days=key[2]) for key, left in first_time.items())


def test_notice_uses_the_state_expected_on_its_day() -> None:
    # No worker ran since December, so the state still has the contract that ended on 1 January 2028.
    chosen = annual().send("change_renewal_option", term="MONTHLY", members=9)
    assert due_notices(annual(), "2027-12-31") == [(CONTRACT_ENDING, "2028-01-01", 7)]
    assert due_notices(annual(), "2028-01-25") == due_notices(chosen, "2028-01-25") == []
    assert due_notices(trial(), "2027-02-28") == [(DELETION_DUE, "2027-03-02", 3)]


def test_notice_clock_is_at_least_at_the_last_event() -> None:
    subscription = annual().at("2027-12-26")
    assert due_notices(subscription, "2026-11-25") == []
    subscription.send("change_renewal_option", term="ANNUAL")
    assert due_notices(subscription, "2026-11-25") == [(CONTRACT_ENDING, "2028-01-01", 7)]


# -- announced events --------------------------------------------------------------------------------


def test_r15_after_the_trial_comes_the_grace_and_then_the_end() -> None:
    notice = only_notice(trial(), "2027-01-30")
    assert notice.happens == TrialEnded(at=on("2027-01-31 10:00"), grace_ends_at=on("2027-03-02 10:00"))
    assert isinstance(notice.then, Canceled)
    assert (notice.then.because, notice.then.at) == ("GRACE_ENDED", on("2027-03-02 10:00"))


def test_r15_trial_without_grace_notice_announces_the_end() -> None:
    subscription = trial(book=book_of(catalogue(trial={"grace_days": 0})))
    assert due_notices(subscription, "2027-01-16") == []
    assert changes_of(subscription, "2027-01-01", "2027-02-02") == {
        "2027-01-17": [(DELETION_DUE, "2027-01-31", 14)],
        "2027-01-24": [(DELETION_DUE, "2027-01-31", 7)],
        "2027-01-28": [(DELETION_DUE, "2027-01-31", 3)],
        "2027-01-30": [(DELETION_DUE, "2027-01-31", 1)],
    }
    happens = only_notice(subscription, "2027-01-30").happens
    assert isinstance(happens, Canceled)
    assert happens.because == "TRIAL_ENDED"


# -- deletion ----------------------------------------------------------------------------------------


def changes_of(subscription: ScenarioBuilder, first_day: str, end_day: str) -> dict[str, list[DueNotice]]:
    """Return the new notices of each day on which the job runs, which is every day."""
    seen: set[DueNotice] = set()
    found = {}
    for on_day in days_from(first_day, end_day):
        if new := [notice for notice in due_notices(subscription, on_day) if notice not in seen]:
            found[on_day] = new
            seen.update(new)
    return found


def test_r34_lapsed_trial_is_warned_four_times_before_its_deletion() -> None:
    # The trial ends on 31 January, the grace period 30 days of 24 hours later.
    assert changes_of(trial(), "2027-01-01", "2027-03-05") == {
        "2027-01-24": [(TRIAL_ENDING, "2027-01-31", 7)],
        "2027-01-28": [(TRIAL_ENDING, "2027-01-31", 3)],
        "2027-01-30": [(TRIAL_ENDING, "2027-01-31", 1)],
        "2027-02-16": [(DELETION_DUE, "2027-03-02", 14)],
        "2027-02-23": [(DELETION_DUE, "2027-03-02", 7)],
        "2027-02-27": [(DELETION_DUE, "2027-03-02", 3)],
        "2027-03-01": [(DELETION_DUE, "2027-03-02", 1)],
    }


def test_r34_short_grace_has_one_notice_a_day() -> None:
    # Seven days before the end of the trial are fourteen before the deletion on 7 February.
    subscription = trial(book=book_of(catalogue(trial={"grace_days": 7})))
    assert changes_of(subscription, "2027-01-01", "2027-02-10") == {
        "2027-01-24": [(DELETION_DUE, "2027-02-07", 14)],
        "2027-01-28": [(TRIAL_ENDING, "2027-01-31", 3)],
        "2027-01-30": [(TRIAL_ENDING, "2027-01-31", 1)],
        "2027-01-31": [(DELETION_DUE, "2027-02-07", 7)],
        "2027-02-04": [(DELETION_DUE, "2027-02-07", 3)],
        "2027-02-06": [(DELETION_DUE, "2027-02-07", 1)],
    }


def test_r34_missed_warning_is_made_up() -> None:
    subscription = trial().at("2027-02-01")
    assert due_notices(subscription, "2027-02-21") == [(DELETION_DUE, "2027-03-02", 14)]
    assert due_notices(subscription, "2027-02-28") == [(DELETION_DUE, "2027-03-02", 3)]


def test_r34_warning_comes_through_a_renewal_before_the_cancellation() -> None:
    # The monthly contract is renewed on 1 February, between the first warning and the deletion.
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY").send("cancel", date="2027-02-10")
    assert changes_of(subscription, "2027-01-01", "2027-02-11") == {
        "2027-01-27": [(DELETION_DUE, "2027-02-10", 14)],
        "2027-02-03": [(DELETION_DUE, "2027-02-10", 7)],
        "2027-02-07": [(DELETION_DUE, "2027-02-10", 3)],
        "2027-02-09": [(DELETION_DUE, "2027-02-10", 1)],
    }


@pytest.mark.parametrize(
    ("reserved_on", "days"),
    [("2027-01-05", [14, 7, 3, 1]), ("2027-01-06", [7, 3, 1]), ("2027-01-18", [1]), ("2027-01-19", [])],
)
def test_r34_confirmation_replaces_the_notices_before_it(reserved_on: str, days: list[int]) -> None:
    """The confirmation of the reservation has the contents of the notice for that day."""
    subscription = trial().at(f"{reserved_on} 08:00").send("cancel", date="2027-01-20")
    found = changes_of(subscription, reserved_on, "2027-01-20")
    assert [key for keys in found.values() for key in keys] == [
        (DELETION_DUE, "2027-01-20", each) for each in days
    ]


def test_r34_deletion_days_are_policy() -> None:
    book = book_of(catalogue(notices={"deletion_days": [20, 2]}))
    assert [
        key for keys in changes_of(trial(book=book), "2027-02-01", "2027-03-03").values() for key in keys
    ] == [
        (DELETION_DUE, "2027-03-02", 20),
        (DELETION_DUE, "2027-03-02", 2),
    ]


def test_r16_switch_notice_replaces_the_trial_end_notice() -> None:
    subscription = trial().send("switch_to_paid", date="2027-01-31", term="ANNUAL", plan="basic", members=20)
    assert due_notices(subscription, "2027-01-29") == []
    notice = only_notice(subscription, "2027-01-30")
    assert notice.key == (SWITCH_DUE, day("2027-01-31"), 1)
    assert isinstance(notice.happens, SwitchedToPaid)
    rate = notice.happens.rate
    assert (rate.plan, rate.members, rate.price) == ("basic", 20, 6_000)
    assert notice.happens.contract.end_day == day("2028-01-31")


def test_r16_switch_in_grace_has_notices_for_both_days() -> None:
    subscription = trial().send("switch_to_paid", date="2027-02-10", term="MONTHLY")
    notice = only_notice(subscription, "2027-01-30")
    assert notice.kind is TRIAL_ENDING
    assert isinstance(notice.then, SwitchedToPaid)
    assert due_notices(subscription.at("2027-02-01"), "2027-02-09") == [(SWITCH_DUE, "2027-02-10", 1)]


def test_r32_only_current_reservation_has_a_notice() -> None:
    subscription = trial().send("switch_to_paid", date="2027-01-10", term="MONTHLY")
    assert due_notices(subscription, "2027-01-09") == [(SWITCH_DUE, "2027-01-10", 1)]
    subscription.send("switch_to_paid", date="2027-01-12", term="MONTHLY")
    assert due_notices(subscription, "2027-01-09") == []
    assert due_notices(subscription, "2027-01-11") == [(SWITCH_DUE, "2027-01-12", 1)]
    subscription.send("withdraw_reservation")
    assert due_notices(subscription, "2027-01-11") == []
    subscription.send("cancel", date="2027-01-12")
    assert due_notices(subscription, "2027-01-11") == [(DELETION_DUE, "2027-01-12", 1)]
    assert due_notices(subscription, "2027-01-24") == []


def test_r30_cancellation_notice_states_the_charge_of_that_date() -> None:
    # June 30,000; repayment 6 × 6,000 = 36,000; fee 10% × 6 × 30,000 = 18,000.
    subscription = annual().at("2027-05-20").send("cancel", date="2027-07-01")
    notice = only_notice(subscription, "2027-06-30")
    assert notice.key == (DELETION_DUE, day("2027-07-01"), 1)
    assert (notice.charged, notice.penalty) == (84_000, 54_000)
    assert due_notices(trial().send("cancel", date="2027-01-20"), "2027-01-19") == [
        (DELETION_DUE, "2027-01-20", 1)
    ]


# -- the end of a contract ---------------------------------------------------------------------------


def renewal(subscription: ScenarioBuilder, on_day: str) -> ContractRenewed:
    happens = only_notice(subscription, on_day).happens
    assert isinstance(happens, ContractRenewed)
    return happens


@pytest.mark.parametrize(
    ("option", "term", "end_day", "plan", "members", "price"),
    [
        (None, "MONTHLY", "2028-02-01", "lite", 10, 3_600),
        ({"term": None}, "MONTHLY", "2028-02-01", "lite", 10, 3_600),
        ({"term": "MONTHLY", "plan": "basic"}, "MONTHLY", "2028-02-01", "basic", 10, 7_200),
        ({"term": "ANNUAL"}, "ANNUAL", "2029-01-01", "lite", 10, 3_000),
        ({"term": "ANNUAL", "members": 3}, "ANNUAL", "2029-01-01", "lite", 3, 3_000),
        ({"term": "ANNUAL", "plan": "premium", "members": 30}, "ANNUAL", "2029-01-01", "premium", 30, 10_000),
    ],
)
def test_r24_renewal_notice_follows_the_renewal_option(
    option: dict[str, Any] | None, term: str, end_day: str, plan: str, members: int, price: int
) -> None:
    subscription = annual()
    if option is not None:
        subscription.send("change_renewal_option", **option)
    follows = renewal(subscription, "2027-12-02")
    assert (follows.contract.term, follows.contract.end_day.isoformat()) == (term, end_day)
    assert (follows.rate.plan, follows.rate.members, follows.rate.price) == (plan, members, price)


def test_r19_notice_uses_prices_of_its_effective_date() -> None:
    cheaper = catalogue("2028-01-01", plans={"lite": {"list": 3_500}})
    assert renewal(annual(book=book_of(catalogue(), cheaper)), "2027-12-31").rate.price == 3_500


def test_r24_renewal_is_monthly_under_later_cancellation() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY").send("change_renewal_option", term="ANNUAL")
    subscription.send("cancel", date="2027-03-15")
    assert due_notices(subscription, "2027-01-25") == []
    assert only_notice(subscription, "2027-03-01").key == (DELETION_DUE, day("2027-03-15"), 14)


def test_r30_contract_end_notice_announces_next_day_cancellation() -> None:
    subscription = annual().at("2027-06-01").send("cancel", date="2028-01-01")
    notice = only_notice(subscription, "2027-12-02")
    assert notice.key == (CONTRACT_ENDING, day("2028-01-01"), 30)
    assert isinstance(notice.happens, Canceled)
    assert notice.penalty == 0
    assert changes_of(subscription, "2027-12-03", "2028-01-02") == {
        "2027-12-03": [(CONTRACT_ENDING, "2028-01-01", 30)],
        "2027-12-18": [(DELETION_DUE, "2028-01-01", 14)],
        "2027-12-25": [(DELETION_DUE, "2028-01-01", 7)],
        "2027-12-29": [(DELETION_DUE, "2028-01-01", 3)],
        "2027-12-31": [(DELETION_DUE, "2028-01-01", 1)],
    }


def test_contract_cancelled_earlier_has_no_end_notice() -> None:
    subscription = annual().at("2027-06-01").send("cancel", date="2027-12-31")
    assert due_notices(subscription, "2027-12-02") == []
    assert due_notices(subscription, "2027-12-25") == [(DELETION_DUE, "2027-12-31", 7)]
    assert due_notices(subscription, "2027-12-30") == [(DELETION_DUE, "2027-12-31", 1)]


def test_r25_annual_upgrade_moves_the_notice() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY").at("2027-01-26")
    subscription.send("change_renewal_option", term="ANNUAL")
    assert due_notices(subscription, "2027-01-26") == [(CONTRACT_ENDING, "2027-02-01", 7)]
    subscription.send("upgrade", term="ANNUAL")
    assert due_notices(subscription, "2027-01-26") == []
    assert due_notices(subscription, "2027-12-27") == [(CONTRACT_ENDING, "2028-01-26", 30)]


# -- domains -----------------------------------------------------------------------------------------


def test_r11_unverified_domain_notice_lasts_until_verification() -> None:
    subscription = trial(account={"domain": "acme.co.kr"})
    assert due_notices(subscription, "2027-01-03") == []
    assert (
        due_notices(subscription, "2027-01-04")
        == due_notices(subscription, "2027-01-20")
        == [(DOMAIN_UNVERIFIED, "2027-01-01", 3)]
    )
    subscription.at("2027-01-20 12:00").proves("acme.co.kr")
    assert due_notices(subscription, "2027-01-21") == []


def test_r10_new_unverified_name_has_its_own_notice() -> None:
    subscription = trial(account={"domain": "acme.co.kr"}).send("rename_account", domain="acme.example")
    assert due_notices(subscription, "2027-01-04") == [
        (DOMAIN_UNVERIFIED, "2027-01-01", 3),
        (RENAME_UNVERIFIED, "2027-01-01", 3),
    ]
    held = (
        ScenarioBuilder.paid("2027-01-01", "ANNUAL")
        .at("2027-01-05")
        .send("rename_account", domain="acme.co.kr")
    )
    assert due_notices(held, "2027-01-07") == []
    assert due_notices(held, "2027-01-08") == [(RENAME_UNVERIFIED, "2027-01-05", 3)]
    held.send("rename_account", group="acme")
    assert due_notices(held, "2027-01-08") == []


def test_unverified_domain_notice_uses_the_latest_reached_day() -> None:
    book = book_of(catalogue(notices={"unverified_domain_days": [10, 3]}))
    subscription = trial(book=book, account={"domain": "acme.co.kr"})
    assert due_notices(subscription, "2027-01-10") == [(DOMAIN_UNVERIFIED, "2027-01-01", 3)]
    assert due_notices(subscription, "2027-01-11") == [(DOMAIN_UNVERIFIED, "2027-01-01", 10)]


def test_ended_subscription_has_no_notices() -> None:
    subscription = trial(account={"domain": "acme.co.kr"}).send("cancel")
    assert due_notices(subscription, "2027-01-24") == []
    assert due_notices(subscription.at("2027-01-02"), "2027-01-24") == []


# -- recipients --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "admin_id", "address"),
    [
        ({"group": "acme"}, "admin", "admin@acme.worksmobile.example"),
        ({"domain": "acme.co.kr"}, "hong.gil-dong_1", "hong.gil-dong_1@acme.co.kr"),
        # R6 allows dots at positions where an email address requires quotes.
        ({"domain": "acme.co.kr"}, ".admin", '".admin"@acme.co.kr'),
        ({"domain": "acme.co.kr"}, "ad..min", '"ad..min"@acme.co.kr'),
        ({"domain": "한국.kr"}, "..", '".."@xn--3e0b707e.kr'),
    ],
)
def test_r6_recipient_is_the_administrator_account(
    account: dict[str, str], admin_id: str, address: str
) -> None:
    subscription = trial(account=account, admin_id=admin_id)
    assert administrator_address(subscription.state, BOOK.notice_policy) == address


def test_r12_lost_domain_has_no_administrator_address() -> None:
    """The address belongs to the organization that has verified the domain."""
    state = trial(account={"domain": "acme.co.kr"}).loses("acme.co.kr").state
    assert recipients(state, None, BOOK.notice_policy) == {}
    assert recipients(state, "kim@hanbit.example", BOOK.notice_policy).keys() == {Addressee.CONTACT}


def test_recipient_domain_of_group_name_is_policy() -> None:
    policy = NoticePolicy(group_mail_domain="mail.example")
    state = trial().state.model_copy(update={"account": Account(kind=AccountKind.GROUP, name="hanbit")})
    assert administrator_address(state, policy) == "admin@hanbit.mail.example"


@pytest.mark.parametrize(
    ("on_day", "contact_email", "addressees"),
    [
        ("2027-01-02", None, {Addressee.ADMINISTRATOR}),
        ("2027-01-02", "kim@hanbit.example", {Addressee.ADMINISTRATOR, Addressee.CONTACT}),
        ("2027-01-02", "Admin@acme.co.kr", {Addressee.ADMINISTRATOR}),
        # Suspended: the administrator's mailbox cannot be read.
        ("2027-02-01", None, {Addressee.ADMINISTRATOR}),
        ("2027-02-01", "kim@hanbit.example", {Addressee.CONTACT}),
    ],
)
def test_r34_recipients_can_read_the_notice(
    on_day: str, contact_email: str | None, addressees: set[Addressee]
) -> None:
    state = trial(account={"domain": "acme.co.kr"}).at(on_day).state
    found = recipients(state, contact_email, BOOK.notice_policy)
    assert found.keys() == addressees
    assert found.get(Addressee.ADMINISTRATOR, "admin@acme.co.kr") == "admin@acme.co.kr"
    assert found.get(Addressee.CONTACT, contact_email) == contact_email


# -- retries -----------------------------------------------------------------------------------------


def test_retry_delays_quadruple_up_to_six_hours() -> None:
    seconds = [retry_delay(failures).total_seconds() for failures in range(1, 10)]
    assert seconds == [2, 8, 32, 128, 512, 2_048, 8_192, 21_600, 21_600]
    assert retry_delay(10_000) == timedelta(hours=6)


def days_from(first_day: str, end_day: str) -> list[str]:
    length = (day(end_day) - day(first_day)).days
    return [(day(first_day) + timedelta(days=number)).isoformat() for number in range(length)]


# -- price rises (R35) -------------------------------------------------------------------------------

DEARER = catalogue("2028-01-01", announced_on="2027-11-20", plans={"lite": {"list": 4_800, "annual": 4_500}})
"""The annual price of lite rises from 3,000 to 4,500, and the list price from 3,600 to 4,800."""


def test_r35_price_rise_replaces_the_contract_end_notice() -> None:
    subscription = annual(book=book_of(catalogue(), DEARER)).send("change_renewal_option", term="ANNUAL")
    assert changes_of(subscription, "2027-11-01", "2028-01-10") == {
        "2027-12-02": [(NoticeKind.PRICE_RISE, "2028-01-01", 30)],
        "2027-12-25": [(NoticeKind.PRICE_RISE, "2028-01-01", 7)],
    }
    rise = only_notice(subscription, "2027-12-25").price_rise
    assert rise is not None
    assert (rise.monthly_before, rise.monthly_after) == (30_000, 45_000)


def test_r35_price_rise_announced_too_late_is_no_rise() -> None:
    late = DEARER.model_copy(update={"announced_on": day("2027-12-03")})
    subscription = annual(book=book_of(catalogue(), late)).send("change_renewal_option", term="ANNUAL")
    assert changes_of(subscription, "2027-12-01", "2028-01-10") == {
        "2027-12-02": [(CONTRACT_ENDING, "2028-01-01", 30)],
        "2027-12-25": [(CONTRACT_ENDING, "2028-01-01", 7)],
    }


def test_r34_r35_unchanged_monthly_contract_is_told_only_of_the_rise() -> None:
    subscription = ScenarioBuilder.paid(
        "2027-10-15", "MONTHLY", book_of(catalogue(), DEARER), plan="lite", members=10
    )
    # The contract of 15 December still has the prices of its first day; the next one is dearer.
    assert changes_of(subscription, "2027-10-16", "2028-03-01") == {
        "2027-12-16": [(NoticeKind.PRICE_RISE, "2028-01-15", 30)],
        "2028-01-08": [(NoticeKind.PRICE_RISE, "2028-01-15", 7)],
    }
