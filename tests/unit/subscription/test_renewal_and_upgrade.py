"""The renewal option and the upgrade: R24 to R26. Prices: lite 3,600/3,000, basic 7,200/6,000."""

from typing import Any

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, default_catalogue, fee

from subscription.commands import parse_command
from subscription.decide import NO_FACTS
from subscription.events import MonthlyCost, Upgraded
from subscription.refusals import RefusalCode

YEAR, NEXT_YEAR = "2027-01-01", "2028-01-01"


def annual(**changes: Any) -> ScenarioBuilder:
    """Build an annual contract: basic for 10 members, from 1 January 2027 to 1 January 2028."""
    return ScenarioBuilder.paid(YEAR, "ANNUAL", **{"plan": "basic", "members": 10, **changes})


def monthly(**changes: Any) -> ScenarioBuilder:
    return ScenarioBuilder.paid(YEAR, "MONTHLY", **{"plan": "basic", "members": 10, **changes})


def contract_summary(subscription: ScenarioBuilder) -> tuple[str, str, int]:
    """Return term, plan and members of the contract."""
    return subscription.period[0], subscription.state.plan, subscription.state.members


# -- R24 ---------------------------------------------------------------------------------------------


def test_r24_without_an_option_a_monthly_contract_follows() -> None:
    subscription = annual().at(NEXT_YEAR)
    assert subscription.period == ("MONTHLY", "2028-01-01", "2028-02-01")
    assert contract_summary(subscription) == ("MONTHLY", "basic", 10)


def test_r24_annual_contract_without_option_becomes_monthly() -> None:
    assert contract_summary(annual().at("2028-07-15")) == ("MONTHLY", "basic", 10)


def test_r24_chosen_term_applies_at_every_renewal() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL")
    assert subscription.at(NEXT_YEAR).period == ("ANNUAL", "2028-01-01", "2029-01-01")
    assert subscription.at("2029-01-01").period == ("ANNUAL", "2029-01-01", "2030-01-01")


def test_r24_a_lower_plan_and_fewer_members_are_possible_here() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL", plan="lite", members=4)
    assert contract_summary(subscription.at(NEXT_YEAR)) == ("ANNUAL", "lite", 4)
    assert subscription.at("2028-02-01").ledger_tuples[-1] == fee(
        "2028-01-01", "2028-02-01", 12_000
    )  # 4 × 3,000


def test_r24_saving_changes_nothing_before_the_periods_end() -> None:
    subscription, untouched = annual(), annual()
    subscription.send("change_renewal_option", term="MONTHLY", plan="lite", members=1)
    assert contract_summary(subscription.at("2027-12-31 23:59:59")) == ("ANNUAL", "basic", 10)
    assert subscription.ledger_tuples == untouched.at(subscription.now).ledger_tuples


def test_r24_omitted_plan_and_members_keep_current_values() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL")
    subscription.at("2027-06-01").send("upgrade", plan="premium", members=20)
    assert contract_summary(subscription.at(NEXT_YEAR)) == ("ANNUAL", "premium", 20)


def test_r24_last_saved_option_applies() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL", plan="premium")
    subscription.send("change_renewal_option", term="ANNUAL", members=7)
    # The second option replaces the first completely.
    assert contract_summary(subscription.at(NEXT_YEAR)) == ("ANNUAL", "basic", 7)


def test_r24_an_option_can_be_taken_back() -> None:
    subscription = (
        annual().send("change_renewal_option", term="ANNUAL").send("change_renewal_option", term=None)
    )
    assert contract_summary(subscription.at(NEXT_YEAR)) == ("MONTHLY", "basic", 10)


def test_r24_null_on_the_wire_is_no_option() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL")
    subscription.decide_parsed(parse_command("change_renewal_option", None), NO_FACTS)
    assert subscription.state.renewal is None


def test_r24_chosen_members_are_chosen_again_at_every_end() -> None:
    subscription = monthly().send("change_renewal_option", term="MONTHLY", members=5).at("2027-02-01")
    assert subscription.state.members == 5
    subscription.send("change_renewal_option", term="MONTHLY", members=3)
    assert (subscription.at("2027-03-01").state.members, subscription.at("2027-04-01").state.members) == (
        3,
        3,
    )


def test_r24_a_monthly_contract_can_become_annual_at_its_end() -> None:
    subscription = monthly().send("change_renewal_option", term="ANNUAL").at("2027-02-01")
    assert subscription.period == ("ANNUAL", "2027-02-01", "2028-02-01")


def test_r24_renewal_is_monthly_while_cancellation_is_reserved() -> None:
    subscription = monthly().send("change_renewal_option", term="ANNUAL", plan="lite", members=2)
    subscription.send("cancel", date="2027-03-15").at("2027-02-01")
    assert subscription.period == ("MONTHLY", "2027-02-01", "2027-03-01")
    assert contract_summary(subscription) == ("MONTHLY", "basic", 10)


def test_r24_r29_after_the_withdrawal_the_option_counts_again() -> None:
    subscription = monthly().send("change_renewal_option", term="ANNUAL").send("cancel", date="2027-03-15")
    subscription.at("2027-02-10").send("withdraw_reservation").at("2027-03-01")
    assert subscription.period == ("ANNUAL", "2027-03-01", "2028-03-01")


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ({"term": "ANNUAL", "plan": "gold"}, RefusalCode.PLAN_NOT_SOLD),
        ({"term": "ANNUAL", "plan": ""}, RefusalCode.INVALID_ARGUMENT),
        ({"term": "ANNUAL", "members": 100_001}, RefusalCode.TOO_MANY_MEMBERS),
        ({"term": "ANNUAL", "members": 0}, RefusalCode.INVALID_ARGUMENT),
        ({"term": None, "members": 3}, RefusalCode.INVALID_ARGUMENT),
        ({"plan": "lite"}, RefusalCode.INVALID_ARGUMENT),
    ],
)
def test_r24_an_option_that_cannot_be_is_refused(option: dict[str, object], code: RefusalCode) -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL")
    assert subscription.expect_refusal("change_renewal_option", **option).code is code
    assert subscription.state.renewal is not None


# -- R25 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "becomes"),
    [
        ({"plan": "premium"}, ("MONTHLY", "premium", 10)),
        ({"members": 11}, ("MONTHLY", "basic", 11)),
        ({"term": "ANNUAL"}, ("ANNUAL", "basic", 10)),
        ({"plan": "premium", "members": 10, "term": "MONTHLY"}, ("MONTHLY", "premium", 10)),
        ({"plan": "premium", "members": 12, "term": "ANNUAL"}, ("ANNUAL", "premium", 12)),
    ],
)
def test_r25_upgrade_raises_plan_members_or_term(
    wish: dict[str, object], becomes: tuple[str, str, int]
) -> None:
    assert contract_summary(monthly().at("2027-01-10").send("upgrade", **wish)) == becomes


@pytest.mark.parametrize("wish", [{}, {"plan": "basic"}, {"members": 10}, {"term": "MONTHLY"}])
def test_r25_an_upgrade_that_raises_nothing_is_refused(wish: dict[str, object]) -> None:
    assert monthly().expect_refusal("upgrade", **wish).code is RefusalCode.NOT_AN_UPGRADE


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"plan": "lite"}, "plan"),
        ({"members": 9}, "members"),
        ({"term": "MONTHLY"}, "term"),
        ({"plan": "lite", "members": 100}, "plan"),
        ({"plan": "premium", "members": 9}, "members"),
        ({"plan": "premium", "term": "MONTHLY"}, "term"),
    ],
)
def test_r25_upgrade_lowers_neither_plan_members_nor_term(wish: dict[str, object], field: str) -> None:
    refusal = annual().expect_refusal("upgrade", **wish)
    assert (refusal.code, refusal.field) == (RefusalCode.LOWERED_BY_UPGRADE, field)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"plan": "gold"}, RefusalCode.PLAN_NOT_SOLD),
        ({"plan": "", "members": 20}, RefusalCode.INVALID_ARGUMENT),
        ({"members": 100_001}, RefusalCode.TOO_MANY_MEMBERS),
    ],
)
def test_r25_upgrade_to_unsold_plan_is_refused(wish: dict[str, object], code: RefusalCode) -> None:
    assert annual().expect_refusal("upgrade", **wish).code is code


def test_r03_r25_upgrade_agrees_to_the_current_terms() -> None:
    renewed = [
        {"id": "service", "version": "2027-06", "required": True},
        {"id": "privacy", "version": "2026-01", "required": True},
    ]
    book = book_of(default_catalogue(), catalogue("2027-06-01", terms=renewed))
    agreed_then = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]
    agreed_now = [{"id": "service", "version": "2027-06"}, {"id": "privacy", "version": "2026-01"}]
    subscription = ScenarioBuilder.paid(YEAR, "ANNUAL", book, members=10).at("2027-05-31")
    subscription.send("upgrade", members=11, agreed_terms=agreed_then).at("2027-06-01")
    refusal = subscription.expect_refusal("upgrade", members=12, agreed_terms=agreed_then)
    assert (refusal.code, refusal.field) == (RefusalCode.TERMS_NOT_AGREED, "agreed_terms")
    assert (
        subscription.expect_refusal("upgrade", members=12, agreed_terms=[]).code
        is RefusalCode.TERMS_NOT_AGREED
    )
    upgraded = subscription.send("upgrade", members=12, agreed_terms=agreed_now).events[-1]
    assert upgraded.event == "UPGRADED"
    assert [term.version for term in upgraded.agreed_terms] == ["2027-06", "2026-01"]


def test_r25_the_agreement_must_be_sent() -> None:
    refusal = annual().expect_refusal("upgrade", members=11, agreed_terms=None)
    assert refusal.field == "agreed_terms"


def test_r25_a_higher_plan_or_more_members_keep_the_period() -> None:
    subscription = annual().at("2027-06-01").send("upgrade", plan="premium", members=20)
    assert subscription.period == ("ANNUAL", "2027-01-01", "2028-01-01")


def test_r25_the_new_rate_counts_from_that_day() -> None:
    subscription = annual().at("2027-06-11 18:00").send("upgrade", members=20).at("2027-07-01")
    assert subscription.ledger_tuples[-2:] == [
        fee("2027-06-01", "2027-06-11", 20_000),  # 10/30 × 60,000
        fee("2027-06-11", "2027-07-01", 80_000),  # 20/30 × 120,000
    ]


def test_r25_monthly_to_annual_is_a_new_contract_from_that_day() -> None:
    subscription = monthly().at("2027-04-11").send("upgrade", term="ANNUAL").at("2027-05-01")
    assert subscription.period == ("ANNUAL", "2027-04-11", "2028-04-11")
    assert subscription.ledger_tuples[-2:] == [
        fee("2027-04-01", "2027-04-11", 24_000),  # 10/30 × 72,000
        fee("2027-04-11", "2027-05-01", 40_000),  # 20/30 × 60,000
    ]


def test_r25_a_reserved_cancellation_stays() -> None:
    subscription = annual().send("cancel", date="2027-09-01").send("upgrade", members=11)
    assert subscription.state.reservation is not None
    assert subscription.at("2027-09-01").state.state == "ERASED"


@pytest.mark.parametrize(
    ("option", "wish", "raised"),
    [
        # The option named a lower plan or fewer members: raised to the upgrade.
        ({"plan": "lite"}, {"plan": "premium"}, ("premium", None)),
        ({"members": 5}, {"members": 20}, (None, 20)),
        ({"plan": "lite", "members": 5}, {"plan": "premium", "members": 20}, ("premium", 20)),
        # Only the parts of the option that this upgrade exceeds change.
        ({"plan": "lite", "members": 5}, {"members": 20}, ("lite", 20)),
        ({"plan": "lite", "members": 5}, {"plan": "premium"}, ("premium", 5)),
    ],
)
def test_r25_overtaken_option_is_raised_and_reported(
    option: dict[str, Any], wish: dict[str, Any], raised: tuple[str | None, int | None]
) -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL", **option).send("upgrade", **wish)
    assert subscription.state.renewal is not None
    assert (subscription.state.renewal.plan, subscription.state.renewal.members) == raised
    assert subscription.state.renewal.term == "ANNUAL"
    assert "renewal option is raised" in subscription.message


def test_r25_raised_option_is_reported_with_its_cost_before_and_after() -> None:
    subscription = annual().send("change_renewal_option", term="ANNUAL", plan="lite")
    upgraded = subscription.send("upgrade", plan="premium", members=20).events[-1]
    assert isinstance(upgraded, Upgraded)
    # Before: 10 × 3,000. After: 20 × 10,000, because the option has the members of the contract.
    assert upgraded.raised_cost == MonthlyCost(before=30_000, after=200_000)


@pytest.mark.parametrize(
    ("option", "wish"),
    [
        ({}, {"plan": "premium", "members": 20}),
        ({"plan": "premium"}, {"plan": "premium"}),
        ({"members": 30}, {"members": 20}),
        ({"members": 20}, {"members": 20}),
        ({"plan": "lite"}, {"members": 20}),
        ({"members": 5}, {"plan": "premium"}),
    ],
)
def test_r25_an_option_that_is_not_overtaken_stays_as_it_is(
    option: dict[str, Any], wish: dict[str, Any]
) -> None:
    subscription = annual().send("change_renewal_option", term="MONTHLY", **option)
    before = subscription.state.renewal
    assert subscription.send("upgrade", **wish).state.renewal == before
    assert "option" not in subscription.message


def test_r25_no_option_is_still_none_after_an_upgrade() -> None:
    assert annual().send("upgrade", members=20).state.renewal is None


# -- R26 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["2027-01-10", "2027-02-10"], ids=["trial", "grace"])
@pytest.mark.parametrize(
    ("command", "argument"), [("upgrade", {"members": 20}), ("change_renewal_option", {"term": "ANNUAL"})]
)
def test_r26_trial_refuses_upgrade_and_option_with_reason(
    moment: str, command: str, argument: dict[str, Any]
) -> None:
    refusal = ScenarioBuilder.requested("2027-01-01 09:00").at(moment).expect_refusal(command, **argument)
    assert refusal.code is RefusalCode.NOT_YET_PAID
    assert "after the switch" in refusal.message


@pytest.mark.parametrize("date", ["2027-01-01", "2027-01-02"])
def test_r26_once_active_a_switch_is_refused_with_the_reason(date: str) -> None:
    refusal = annual().expect_refusal("switch_to_paid", date=date, term="ANNUAL")
    assert refusal.code is RefusalCode.ALREADY_PAID
    assert "already on a paid plan" in refusal.message
