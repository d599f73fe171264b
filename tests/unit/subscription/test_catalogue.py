"""The catalogue: validation, and the effects of a newer version (R19)."""

import copy
import tomllib

import pytest
from support.scenario_builder import (
    BOOK,
    ScenarioBuilder,
    book_of,
    catalogue,
    catalogue_text,
    day,
    default_catalogue,
    fee,
    read,
    repayment,
    termination,
)

from subscription.catalogue import Catalogue, CatalogueError, NoticePolicy, PriceBook, parse_catalogue
from subscription.refusals import RefusalCode
from subscription.request import Request
from subscription.validation import parse_strict

# -- validation --------------------------------------------------------------------------------------


def line_of(start: str, text: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if line.lstrip().startswith(start))


def edited(old: str, new: str) -> str:
    """Return the repository's catalogue with the only line that starts with `old` replaced."""
    lines = catalogue_text().splitlines()
    lines[line_of(old, catalogue_text()) - 1] = new
    return "\n".join(lines)


def refusal(text: str) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, "shop.toml")
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("version", 'version = ""', "version"),
        ("version", 'version = "a b"', "version"),
        ("effective_from", 'effective_from = "soon"', "effective_from"),
        ("effective_from", "effective_from = 2026-11-01T00:00:00", "effective_from"),
        ("effective_from", "effective_from = 20261101", "effective_from"),
        ("timezone", 'timezone = "Asia/Tokyo"', "timezone"),
        ("currency", 'currency = "USD"', "currency"),
        ("currency", 'currencies = "KRW"', "currencies"),
        ("days", "days = -1", "trial.days"),
        ("days", "days = 30.5", "trial.days"),
        ("grace_days", "grace_days = -1", "trial.grace_days"),
        ("grace_days", 'grace_days = "30"', "trial.grace_days"),
        ("fee_percent", "fee_percent = 101", "cancellation.fee_percent"),
        ("fee_percent", "fee_percent = -1", "cancellation.fee_percent"),
        ("fee_percent", "fee_percent = 9.5", "cancellation.fee_percent"),
        ("rename_lock_hours", "rename_lock_hours = -1", "account.rename_lock_hours"),
        ("max_members = 1000 ", "max_members = 0", "trial.max_members"),
        ("per_customer", "per_customer = 0", "trial.per_customer"),
        ("per_customer", "per_customer = 1.5", "trial.per_customer"),
        ("max_members = 100000", "max_members = 0", "account.max_members"),
        ("max_members = 100000", "max_members = true", "account.max_members"),
        ("then_every_minutes", "then_every_minutes = 0", "domain.then_every_minutes"),
        ("trial_days", "trial_days = [7, 3, 3]", "notices.trial_days"),
        ("trial_days", "trial_days = 7", "notices.trial_days"),
        ("reservation_days", "reservation_days = [0]", "notices.reservation_days.0"),
        ("annual_contract_days", "annual_contract_days = [30, 366]", "notices.annual_contract_days.1"),
        ("annual_contract_days", 'annual_contract_days = ["30"]', "notices.annual_contract_days.0"),
        # A month may have 28 days, and no end notice is due on the first day of a contract.
        ("monthly_contract_days", "monthly_contract_days = [28]", "notices.monthly_contract_days.0"),
        ("unverified_domain_days", "unverified_domain_days = [1.5]", "notices.unverified_domain_days.0"),
        ("group_mail_domain", 'group_mail_domain = "@worksmobile"', "notices.group_mail_domain"),
        ('id = "privacy"', 'id = "service"', "terms.1.id"),
        ('id = "privacy"', "id = 2", "terms.1.id"),
        ("required = false", 'required = "no"', "terms.2.required"),
        ("rank = 2", "rank = 1", "plans.basic.rank"),
        ("rank = 2", "rank = 3", "plans.premium.rank"),
        ("rank = 2", "rank = 2.5", "plans.basic.rank"),
        ("list = 3600", "list = -1", "plans.lite.list"),
        ("list = 3600", "list = 3600.0", "plans.lite.list"),
        ("list = 3600", 'list = "3600"', "plans.lite.list"),
        ("list = 3600", "list = 1e3", "plans.lite.list"),
        ("annual = 3000", "annual = -1", "plans.lite.annual"),
        ("annual = 3000", "yearly = 3000", "plans.lite.yearly"),
        ('title = "Lite"', 'title = ""', "plans.lite.title"),
        ("title = { en", 'title = { en = "Terms" }', "terms.0.title.ko"),
        ("title = { en", 'title = "Terms"', "terms.0.title"),
        ("title = { en", 'title = { en = "Terms", ko = "약관", ja = "規約" }', "terms.0.title.ja"),
        ('text.ko = "새로운', 'text.ko = "\\u200e"', "terms.2.text.ko"),
        ('text.ko = "새로운', f'text.ko = "{"가" * 20_001}"', "terms.2.text.ko"),
        ("functions.en", "functions.en = [\n'',", "plans.lite.functions.en.0"),
        ("functions.ko", "functions.kr = [", "plans.lite.functions.kr"),
        # Prices must not fall with rank: basic's 6,000 is below lite's, premium's 10,000 below basic's.
        ("annual = 6000", "annual = 2999", "plans.basic.annual"),
        # For 100,000 members: 500,000,000,100,000 KRW a month.
        ("list = 12000", "list = 5000000001", "plans.premium.list"),
    ],
)
def test_invalid_value_is_refused_with_its_line(old: str, new: str, field: str) -> None:
    error = refusal(edited(old, new))
    expected = line_of(old, catalogue_text())
    if field == "plans.premium.rank":  # both plans have the same rank; the error names the later one
        expected = line_of("rank = 3", catalogue_text())
    assert (expected, field) in [(line, problem.field) for line, problem in error.problems]
    assert f"shop.toml, line {expected}: {field}: " in str(error)


@pytest.mark.parametrize(
    ("old", "new", "field", "reported_at"),
    [
        # A problem without its own line is reported at the nearest enclosing line.
        ("rank = 1", "", "plans.lite.rank", "[plans.lite]"),
        ("fee_percent", "", "cancellation.fee_percent", "[cancellation]"),
        ("annual = 3000", "annual = 3601", "plans.lite", "[plans.lite]"),
        (
            "{ every_minutes = 5",
            "{ every_minutes = 0, up_to_hours = 1 },",
            "domain.check_intervals.0.every_minutes",
            "check_intervals",
        ),
        ("{ every_minutes = 5", "{ every_minutes = 5, up_to_hours = 72 },", "domain", "[domain]"),
        # One function more in English than in Korean.
        ("functions.en", 'functions.en = ["Mail",', "plans.lite.functions", "[plans.lite]"),
        # The list price of lite is raised above that of basic, so the price falls at basic.
        ("list = 3600", "list = 7201", "plans.basic.list", "list = 7200"),
    ],
)
def test_problem_without_a_line_uses_the_nearest_line(
    old: str, new: str, field: str, reported_at: str
) -> None:
    [(line, problem)] = refusal(edited(old, new)).problems
    assert (line, problem.field) == (line_of(reported_at, catalogue_text()), field)


def test_a_table_that_is_missing_is_named() -> None:
    text = edited("[cancellation]", "").replace("fee_percent = 10", "")
    assert "cancellation: This field is required." in str(refusal(text))


def test_there_must_be_a_plan() -> None:
    without_plans = catalogue_text().partition("[plans.lite]")[0]
    assert "plans: This field is required." in str(refusal(without_plans))
    assert "plans" in str(refusal(without_plans + "[plans]\n"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rank = 1", "rank ="),
        ("rank = 1", "= 1"),
        ("rank = 1", 'title = "Again"'),
        ("effective_from", "effective_from = 2026-13-01"),
        ("[plans.basic]", "[plans.basic"),
        ("[plans.basic]", "[plans.lite]"),
    ],
)
def test_invalid_toml_is_refused_with_its_line(old: str, new: str) -> None:
    assert f"line {line_of(old, catalogue_text())}, " in str(refusal(edited(old, new)))


def test_overlong_number_is_refused() -> None:
    assert "is not TOML" in str(refusal(edited("list = 3600", f"list = 1{'0' * 5_000}")))


def test_a_quoted_table_name_still_has_its_line() -> None:
    text = edited("[plans.lite]", '[plans."lite"]').replace("list = 3600", "list = -1")
    assert f"line {line_of('list = 3600', catalogue_text())}: plans.lite.list: " in str(refusal(text))


def test_lines_within_a_text_are_no_keys() -> None:
    text = edited("You may use NAVER WORKS", "[plans.lite]\nlist = 1").replace("list = 3600", "list = -1")
    assert f"line {line_of('list = -1', text)}: plans.lite.list: " in str(refusal(text))


def test_sections_of_a_list_entry_have_their_lines() -> None:
    text = edited("title = { en", "[terms.title]\nen = ''\nko = '약관'\n[terms.text]")
    text = text.replace("text.en", "en").replace("text.ko", "ko")
    assert f"line {line_of('en = ', text)}: terms.0.title.en: " in str(refusal(text))


def test_r2_r3_texts_are_split_from_a_version_and_joined_again() -> None:
    sold = default_catalogue()
    priced = sold.without_texts()
    assert sold.texts.terms["service"].title == sold.terms[0].title != priced.terms[0].title
    assert sold.texts.functions["lite"] == sold.plans["lite"].functions != priced.plans["lite"].functions
    assert priced.with_texts(sold.texts) == sold
    assert priced.terms[0].model_dump() == {"id": "service", "version": "2026-01", "required": True}
    assert "functions" not in priced.plans["lite"].model_dump()


def test_every_problem_is_reported_at_once() -> None:
    text = edited("days", "days = -1").replace("fee_percent = 10", "fee_percent = 1000")
    assert [problem.field for _, problem in refusal(text).problems] == [
        "trial.days",
        "cancellation.fee_percent",
    ]


def test_the_cap_of_members_is_100_000_unless_given() -> None:
    assert parse_catalogue(edited("max_members = 100000", "")).account.max_members == 100_000


def test_prices_may_stay_the_same_from_rank_to_rank_and_be_zero() -> None:
    same = {"list": 0, "annual": 0}
    catalogue(plans={"lite": same, "basic": same, "premium": same})


def test_ranks_need_not_follow_each_other() -> None:
    catalogue(plans={"lite": {"rank": -5}, "basic": {"rank": 0}, "premium": {"rank": 900}})


def test_the_catalogue_of_the_repository() -> None:
    sold = default_catalogue()
    assert {name: (plan.list, plan.annual) for name, plan in sold.plans.items()} == {
        "lite": (3_600, 3_000),
        "basic": (7_200, 6_000),
        "premium": (12_000, 10_000),
    }
    assert (sold.trial.days, sold.trial.grace_days, sold.cancellation.fee_percent) == (30, 30, 10)
    assert sold.notices == NoticePolicy()
    assert (sold.notices.trial_days, sold.notices.reservation_days) == ((7, 3, 1), (1,))
    assert (sold.notices.annual_contract_days, sold.notices.monthly_contract_days) == ((30, 7), (7,))
    assert sold.notices.unverified_domain_days == (3,)


# -- versions (R19): from 1 July 2027 lite costs 4,000 and 3,300, and leaving early 20% ---------------

LATER = catalogue(
    "2027-07-01",
    announced_on="2027-05-15",
    plans={"lite": {"list": 4_000, "annual": 3_300}},
    cancellation={"fee_percent": 20},
)
DEARER = book_of(default_catalogue(), LATER)


def lite(first_day: str, term: str, book: PriceBook = DEARER) -> ScenarioBuilder:
    return ScenarioBuilder.paid(first_day, term, book, plan="lite", members=10)


def charges(subscription: ScenarioBuilder) -> list[tuple[str, str, str, int]]:
    return [line for line in subscription.ledger_tuples if line.kind != "SERVICE_FEE"]


def test_r19_a_version_is_in_force_from_its_date() -> None:
    versions = [DEARER.in_force(day(d)) for d in ("2026-10-31", "2026-11-01", "2027-06-30", "2027-07-01")]
    assert versions == [None, default_catalogue(), default_catalogue(), LATER]


def test_r19_latest_published_version_of_a_date_applies() -> None:
    again = catalogue("2027-07-01", cancellation={"fee_percent": 5})
    assert DEARER.with_versions([again]).in_force(day("2027-07-01")) == again


def test_r19_price_book_is_append_only() -> None:
    assert (BOOK.revision, BOOK.with_versions([LATER])) == (1, DEARER)
    assert DEARER.revision == 2


def test_r19_contract_keeps_prices_and_renewal_takes_new_ones() -> None:
    subscription = lite("2027-01-01", "ANNUAL").send("change_renewal_option", term="ANNUAL").at("2028-02-01")
    assert subscription.ledger_tuples[-2:] == [
        fee("2027-12-01", "2028-01-01", 30_000),
        fee("2028-01-01", "2028-02-01", 33_000),
    ]


def test_r19_monthly_contract_takes_new_price_next_period() -> None:
    subscription = lite("2027-06-15", "MONTHLY").at("2027-08-01")
    assert subscription.ledger_tuples[-2:] == [
        fee("2027-07-01", "2027-07-15", 16_258),  # 14/31 × 36,000 = 16,258.06
        fee("2027-07-15", "2027-08-01", 21_935),  # 17/31 × 40,000 = 21,935.48
    ]


def test_r19_more_members_pay_the_prices_of_the_contract() -> None:
    subscription = lite("2027-01-01", "ANNUAL").at("2027-07-11").send("upgrade", members=20).at("2027-08-01")
    assert subscription.ledger_tuples[-2:] == [
        fee("2027-07-01", "2027-07-11", 9_677),  # 10/31 × 30,000 = 9,677.4
        fee("2027-07-11", "2027-08-01", 40_645),  # 21/31 × 20 × 3,000 = 40,645.2
    ]


def test_r19_higher_plan_pays_the_prices_in_force_on_its_day() -> None:
    book = book_of(
        default_catalogue(), catalogue("2027-07-01", plans={"basic": {"list": 8_000, "annual": 7_000}})
    )
    subscription = lite("2027-01-01", "ANNUAL", book).at("2027-07-11").send("upgrade", plan="basic")
    assert subscription.at("2027-08-01").ledger_tuples[-1] == fee(
        "2027-07-11",
        "2027-08-01",
        47_419,  # 21/31 × 10 × 7,000 = 47,419.4
    )


def test_r19_annual_upgrade_pays_the_prices_in_force_on_its_day() -> None:
    subscription = lite("2027-06-01", "MONTHLY").at("2027-07-11").send("upgrade", term="ANNUAL")
    assert subscription.state.rate.price == 3_300


def test_r19_r30_each_day_is_repaid_at_the_prices_that_it_had() -> None:
    subscription = lite("2027-01-01", "ANNUAL").at("2027-07-11").send("upgrade", plan="basic")
    assert charges(subscription.at("2027-08-01").send("cancel")) == [
        # 6 × 6,000 + 10/31 × 6,000 + 21/31 × 12,000 = 36,000 + 1,935.5 + 8,129.0 = 46,064.5
        repayment("2027-01-01", "2027-08-01", 46_064),
        termination("2027-08-01", "2028-01-01", 30_000),  # 10% × 5 × 60,000
    ]


def test_r19_a_contract_keeps_its_fee_percentage() -> None:
    subscription = lite("2027-01-01", "ANNUAL").at("2027-10-01").send("cancel")
    assert charges(subscription)[1:] == [termination("2027-10-01", "2028-01-01", 9_000)]  # 10% × 3 × 30,000


def test_r19_renewal_takes_fee_percentage_of_its_first_day() -> None:
    subscription = lite("2027-01-01", "ANNUAL").send("change_renewal_option", term="ANNUAL")
    assert charges(subscription.at("2028-10-01").send("cancel"))[1:] == [
        termination("2028-10-01", "2029-01-01", 19_800)  # 20% × 3 × 33,000
    ]


def test_r19_r25_annual_upgrade_keeps_its_fee_percentage() -> None:
    subscription = lite("2027-06-01", "MONTHLY").at("2027-07-01").send("upgrade", term="ANNUAL")
    assert charges(subscription.send("cancel")) == [
        termination("2027-07-01", "2028-07-01", 79_200)  # 20% × 12 × 33,000
    ]


def test_r19_a_reserved_switch_takes_the_prices_of_its_own_date() -> None:
    subscription = ScenarioBuilder.requested("2027-06-20 09:00", DEARER, plan="lite", members=10)
    subscription.send("switch_to_paid", date="2027-07-01", term="MONTHLY").at("2027-08-01")
    assert subscription.ledger_tuples == [fee("2027-07-01", "2027-08-01", 40_000)]


def test_r19_r23_late_switch_takes_prices_of_its_date() -> None:
    subscription = ScenarioBuilder.requested("2027-06-20 09:00", DEARER, plan="lite", members=10)
    subscription.send("switch_to_paid", date="2027-06-30", term="ANNUAL").at("2027-07-20")
    assert (
        subscription.state.rate.price,
        subscription.state.contract and subscription.state.contract.fee_percent,
    ) == (3_000, 10)


# -- discontinued plan (R19): lite is removed on 1 October 2027 ---------------------------------------

GONE = DEARER.with_versions([catalogue("2027-10-01", plans={"lite": None})])


def test_r19_discontinued_plan_renews_at_its_last_prices() -> None:
    subscription = (
        lite("2027-06-15", "ANNUAL", GONE).send("change_renewal_option", term="ANNUAL").at("2028-08-01")
    )
    assert (subscription.period, subscription.state.plan) == (("ANNUAL", "2028-06-15", "2029-06-15"), "lite")
    assert subscription.ledger_tuples[-1] == fee("2028-07-01", "2028-08-01", 33_000)


def test_r19_discontinued_plan_without_option_renews_monthly() -> None:
    subscription = lite("2027-09-01", "MONTHLY", GONE).at("2027-12-01")
    assert subscription.ledger_tuples[-1] == fee("2027-11-01", "2027-12-01", 40_000)


def test_r19_discontinued_plan_can_be_named_by_its_subscriber() -> None:
    subscription = lite("2027-09-01", "ANNUAL", GONE).at("2027-10-01")
    subscription.send("change_renewal_option", term="ANNUAL", plan="lite", members=4)


def test_r19_discontinued_plan_can_add_members() -> None:
    subscription = (
        lite("2027-09-01", "MONTHLY", GONE).at("2027-11-01").send("upgrade", members=20).at("2027-12-01")
    )
    assert subscription.ledger_tuples[-1] == fee("2027-11-01", "2027-12-01", 80_000)


def test_r19_discontinued_plan_can_be_upgraded() -> None:
    subscription = lite("2027-09-01", "MONTHLY", GONE).at("2027-11-01").send("upgrade", plan="basic")
    assert subscription.state.plan == "basic"


def test_r19_discontinued_plan_cannot_be_chosen() -> None:
    paid = ScenarioBuilder.paid("2027-09-01", "ANNUAL", GONE, plan="basic").at("2027-10-01")
    option = paid.expect_refusal("change_renewal_option", term="ANNUAL", plan="lite")
    trial = ScenarioBuilder.requested("2027-09-20 09:00", GONE, plan="basic").at("2027-10-01")
    switch = trial.expect_refusal("switch_to_paid", term="ANNUAL", plan="lite")
    for refused in (option, switch):
        assert (refused.code, refused.field) == (RefusalCode.PLAN_NOT_SOLD, "plan")
    assert isinstance(read("2027-09-30 23:59", GONE, plan="lite"), Request)
    assert not isinstance(read("2027-10-01 00:00", GONE, plan="lite"), Request)


def test_r19_a_higher_plan_that_is_gone_cannot_be_upgraded_to() -> None:
    no_premium = book_of(default_catalogue(), catalogue("2027-10-01", plans={"premium": None}))
    subscription = ScenarioBuilder.paid("2027-09-01", "ANNUAL", no_premium).at("2027-10-01")
    assert subscription.expect_refusal("upgrade", plan="premium").code is RefusalCode.PLAN_NOT_SOLD


def test_r16_r19_trial_keeps_its_requested_plan() -> None:
    subscription = ScenarioBuilder.requested("2027-09-20 09:00", GONE, plan="lite", members=10).at(
        "2027-10-05 09:00"
    )
    subscription.send("switch_to_paid", term="MONTHLY")
    assert subscription.state.rate.price == 4_000


def test_r19_a_plan_that_is_new_can_be_chosen_from_its_day() -> None:
    plus = {"title": "Plus", "rank": 4, "list": 20_000, "annual": 15_000}
    book = book_of(default_catalogue(), catalogue("2027-07-01", plans={"plus": plus}))
    subscription = ScenarioBuilder.paid("2027-06-01", "MONTHLY", book).at("2027-06-30")
    assert subscription.expect_refusal("upgrade", plan="plus").code is RefusalCode.PLAN_NOT_SOLD
    assert subscription.at("2027-07-01").send("upgrade", plan="plus").state.plan == "plus"


def test_r19_members_above_new_cap_stay_but_cannot_grow() -> None:
    book = book_of(default_catalogue(), catalogue("2027-07-01", account={"max_members": 5}))
    subscription = ScenarioBuilder.paid("2027-06-01", "MONTHLY", book, members=10).at("2027-07-01")
    assert subscription.expect_refusal("upgrade", members=11).code is RefusalCode.TOO_MANY_MEMBERS
    subscription.send("upgrade", plan="premium").send("change_renewal_option", term="ANNUAL", members=10)
    assert subscription.state.members == 10


# -- publication beside existing versions (R19, R25) --------------------------------------------------


def publication_problems(
    newer: Catalogue, *versions: Catalogue, today: str = "2026-11-30"
) -> list[tuple[str, str]]:
    """Return the problems of publishing a version, as (field, reason)."""
    refused = book_of(*versions).refusal_of(newer, day(today))
    if refused is None:
        return []
    assert refused.code is RefusalCode.CATALOGUE_NOT_PUBLISHABLE
    return [(str(problem.field), str(problem.reason)) for problem in refused.problems]


def test_r19_version_starts_no_earlier_than_its_publication() -> None:
    first = default_catalogue()
    assert publication_problems(catalogue("2026-11-20"), first) == [("effective_from", "IN_THE_PAST")]
    assert publication_problems(catalogue("2026-11-29"), first) == [("effective_from", "IN_THE_PAST")]
    assert publication_problems(catalogue("2026-11-30"), first) == []
    assert publication_problems(catalogue("2026-12-01"), first) == []
    assert publication_problems(catalogue("2020-01-01")) == []


def test_r19_a_version_comes_after_all_others_and_never_changes() -> None:
    first = default_catalogue()
    assert publication_problems(catalogue("2026-10-01"), first) == [
        ("effective_from", "NOT_LATER"),
        ("announced_on", "ANNOUNCED_EARLIER"),
    ]
    planned = catalogue("2026-12-01")
    same_day = planned.model_copy(update={"version": "another"})
    assert publication_problems(same_day, first, planned) == [("effective_from", "NOT_LATER")]
    changed = catalogue("2027-01-01").model_copy(update={"version": first.version})
    assert publication_problems(changed, first) == [("version", "CHANGED")]


PLUS = {"title": "Plus", "rank": 3, "list": 8_000, "annual": 6_500}


def test_r25_rank_is_never_reassigned_to_another_plan() -> None:
    first = default_catalogue()
    reused = catalogue("2026-12-05", plans={"premium": None, "plus": PLUS})
    assert publication_problems(reused, first) == [("plans.plus.rank", "RANK_REUSED")]
    without = catalogue("2026-12-05", plans={"premium": None})
    later = catalogue("2027-12-05", plans={"premium": None, "plus": PLUS})
    assert publication_problems(without, first) == []
    assert publication_problems(later, first, without) == [("plans.plus.rank", "RANK_REUSED")]
    assert (
        publication_problems(
            catalogue("2026-12-05", plans={"premium": None, "plus": {**PLUS, "rank": 9}}), first
        )
        == []
    )


def test_r25_rank_of_a_plan_never_changes() -> None:
    first = default_catalogue()
    moved = catalogue("2026-12-05", plans={"premium": {"rank": 7}})
    assert publication_problems(moved, first) == [("plans.premium.rank", "RANK_CHANGED")]
    swapped = catalogue(
        "2026-12-05",
        plans={
            "lite": {"rank": 2, "list": 7200, "annual": 6000},
            "basic": {"rank": 1, "list": 3600, "annual": 3000},
        },
    )
    assert publication_problems(swapped, first) == [
        ("plans.lite.rank", "RANK_CHANGED"),
        ("plans.lite.rank", "RANK_REUSED"),
        ("plans.basic.rank", "RANK_CHANGED"),
        ("plans.basic.rank", "RANK_REUSED"),
    ]


def test_r25_plans_of_equal_rank_are_no_upgrade() -> None:
    """Use a price book published before ranks were validated."""
    book = book_of(default_catalogue(), catalogue("2026-12-05", plans={"premium": None, "plus": PLUS}))
    subscription = ScenarioBuilder.paid("2026-12-01", "ANNUAL", book, plan="premium", members=100).at(
        "2026-12-05"
    )
    assert (
        subscription.expect_refusal("upgrade", plan="plus", members=101).code
        is RefusalCode.LOWERED_BY_UPGRADE
    )
    assert subscription.send("upgrade", members=101).state.plan == "premium"


def test_former_key_names_are_accepted() -> None:
    """Catalogues written before 0.1.0 have other keys in the sections `domain` and `notices`."""
    interval = {"every_minutes": 30, "up_to_hours": 1}
    table = tomllib.loads(catalogue_text())
    former, present = copy.deepcopy(table), copy.deepcopy(table)
    del former["domain"]["check_intervals"], former["notices"]["unverified_domain_days"]
    former["domain"]["looks"], former["notices"]["unproved_domain_days"] = [interval], [5]
    present["domain"]["check_intervals"], present["notices"]["unverified_domain_days"] = [interval], [5]
    assert parse_strict(Catalogue, former) == parse_strict(Catalogue, present)
