"""Explanations of ledger lines: R20, R21 and R30 as reproducible arithmetic."""

import io
from collections.abc import Callable
from fractions import Fraction
from math import floor

import pytest
from rich.console import Console
from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, day, default_catalogue

from adapters.invoice_html import invoice_page
from adapters.translation import Language
from entrypoints.cli.views.billing import invoice_view, ledger_table
from subscription.explain import Explanation, explain
from subscription.invoice import InvoicedLine, InvoicedSubscription, invoice_for
from subscription.ledger import LedgerLine


def number(words: str) -> Fraction:
    """Parse `16,258 2/31` into an exact fraction."""
    return sum((Fraction(part.replace(",", "")) for part in words.split()), start=Fraction(0))


def upgraded_in_march() -> list[LedgerLine]:
    subscription = ScenarioBuilder.paid("2027-03-01", "MONTHLY", plan="lite", members=10)
    return subscription.at("2027-03-15").send("upgrade", plan="basic").at("2027-04-01").ledger


def cancelled_in_july() -> list[LedgerLine]:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10)
    return subscription.at("2027-07-01").send("cancel").ledger


def with_three_rates() -> list[LedgerLine]:
    subscription = (
        ScenarioBuilder.paid("2027-01-15", "ANNUAL", plan="lite", members=3)
        .at("2027-02-03")
        .send("upgrade", members=7)
    )
    return (
        subscription.at("2028-01-02").send("upgrade", plan="premium").at("2028-01-09").send("cancel").ledger
    )


def sum_of_steps(explained: Explanation) -> Fraction:
    return sum((number(step.exact) for step in explained.steps), start=Fraction(0))


@pytest.mark.parametrize("lines", [upgraded_in_march, cancelled_in_july, with_three_rates])
def test_r20_an_explanation_adds_up_to_its_line(lines: Callable[[], list[LedgerLine]]) -> None:
    for line in lines():
        explained = explain(line)
        exact = sum_of_steps(explained) * explained.percent / 100
        assert number(explained.exact) == exact
        assert floor(exact) == explained.amount == line.amount


@pytest.mark.parametrize("lines", [upgraded_in_march, cancelled_in_july, with_three_rates])
def test_r20_every_step_is_its_share_of_a_calendar_month(lines: Callable[[], list[LedgerLine]]) -> None:
    for line in lines():
        steps = explain(line).steps
        for step in steps:
            assert number(step.exact) == Fraction(step.price * step.members * step.days, step.days_in_month)
        # The steps cover each day of the line once and in order.
        ends = [line.first_day, *(step.end_day for step in steps)]
        assert ends[:-1] == [step.first_day for step in steps]
        assert ends[-1] == line.end_day


def test_r21_example_explanation() -> None:
    first, second = map(explain, upgraded_in_march())
    assert (first.rule, first.amount) == ("R21", 16_258)
    # 14 × 36,000 = 504,000 = 31 × 16,258 + 2
    assert first.arithmetic == "14/31 × 10 × 3,600 = 16,258 2/31, rounded down to 16,258 KRW"
    # 17 × 72,000 = 1,224,000 = 31 × 39,483 + 27
    assert second.arithmetic == "17/31 × 10 × 7,200 = 39,483 27/31, rounded down to 39,483 KRW"


def test_r30_example_explanation() -> None:
    repaid, left = map(explain, cancelled_in_july()[-2:])
    assert (repaid.rule, repaid.amount, len(repaid.steps)) == ("R30", 36_000, 6)
    assert repaid.arithmetic.startswith("31/31 × 10 × (3,600 - 3,000) + 28/28 × 10 × (3,600 - 3,000) + ")
    assert repaid.arithmetic.endswith(" = 36,000, rounded down to 36,000 KRW")
    assert (left.rule, left.amount, left.percent) == ("R30", 18_000, 10)
    assert left.arithmetic.startswith("10% × (31/31 × 10 × 3,000 + ")
    assert left.arithmetic.endswith(" = 18,000, rounded down to 18,000 KRW")


def test_r30_a_repayment_names_each_rate_for_its_own_days() -> None:
    [repaid] = [explain(line) for line in with_three_rates() if line.kind == "DISCOUNT_REPAYMENT"]
    assert [(step.plan, step.members, step.days) for step in repaid.steps] == [
        ("lite", 3, 17),  # 15 to 31 January
        ("lite", 3, 2),  # 1 and 2 February
        ("lite", 7, 26),  # 3 to 28 February
        *(("lite", 7, days) for days in (31, 30, 31, 30, 31, 31, 30, 31, 30, 31)),
        ("lite", 7, 1),  # 1 January 2028
        ("premium", 7, 7),  # 2 to 8 January
    ]


def test_r30_a_line_that_spans_several_rates_shows_each_of_them() -> None:
    """The contract is basic for 10 members until 20 March, then premium for 15."""
    subscription = ScenarioBuilder.paid("2026-12-20", "ANNUAL", plan="basic", members=10).at("2027-03-20")
    subscription.send("upgrade", plan="premium", members=15).at("2027-05-20").send("cancel")
    repaid = next(line for line in subscription.ledger if line.kind == "DISCOUNT_REPAYMENT")
    assert [(f"{rate.first_day}", f"{rate.end_day}", rate.plan, rate.members) for rate in repaid.rates] == [
        ("2026-12-20", "2027-03-20", "basic", 10),
        ("2027-03-20", "2027-05-20", "premium", 15),
    ]
    invoiced = InvoicedLine.of(repaid)
    assert (invoiced.rates, invoiced.amount, invoiced.key) == (repaid.rates, repaid.amount, repaid.key)
    assert InvoicedLine.model_validate_json(invoiced.model_dump_json()) == invoiced
    invoice = invoice_for(
        "customer",
        day("2027-05-01"),
        [InvoicedSubscription(subscription_id="s", entries=(invoiced,))],
        number="2027-000001",
        issued_on=day("2027-06-01"),
        vat_percent=10,
        supplier=BOOK.versions[0].invoice.supplier,
    )
    page = invoice_page(invoice, Language.EN, BOOK)
    assert ">Basic<br>Premium<" in page
    assert ">10<br>15<" in page
    for table in (ledger_table([repaid]), invoice_view(invoice)):
        shown = io.StringIO()
        Console(file=shown, width=200).print(table)
        for rate in ("basic", "premium", " 10 ", " 15 "):
            assert rate in shown.getvalue()


def test_r35_r19_explanation_names_the_version_of_each_price() -> None:
    """Basic rises from 6,000 to 9,000 on 1 December 2027, 9 days before the renewal of an annual contract."""
    dearer = {"basic": {"list": 12_000, "annual": 9_000}, "premium": {"list": 15_000, "annual": 14_000}}
    newer = catalogue("2027-12-01", announced_on="2027-11-20", plans=dearer)
    subscription = ScenarioBuilder.paid(
        "2026-12-10", "ANNUAL", book_of(default_catalogue(), newer), plan="basic", members=1
    )
    subscription.send("change_renewal_option", term="ANNUAL").at("2027-12-05").send("upgrade", members=3)
    prices = [explain(line).prices for line in subscription.at("2029-01-01").ledger]
    version = "basic at 6,000: catalogue version 2026-11,"
    in_force = f"{version} in force on 2026-12-10 (R19)"
    kept = f"{version} of the contract since 2026-12-10, also for the members added later (R19)"
    announced = f"{version} announced in time for 2027-12-10, unlike the higher price in force (R35)"
    assert prices[0] == prices[11] == (in_force,)  # December 2026 and November 2027
    assert prices[12] == (in_force,)  # 1 to 4 December 2027, 1 member
    assert prices[13] == (kept,)
    assert prices[14] == (announced,)
    assert prices[-1] == ("basic at 9,000: catalogue version 2027-12-01, in force on 2028-12-10 (R19)",)


def test_r30_repayment_explanation_names_the_version_of_both_prices() -> None:
    repaid = explain(cancelled_in_july()[-2])
    assert repaid.prices == (
        "lite at 3,600: catalogue version 2026-11, in force on 2027-01-01 (R19)",
        "lite at 3,000: catalogue version 2026-11, in force on 2027-01-01 (R19)",
    )


def test_r19_explanation_names_the_last_version_that_sold_the_plan() -> None:
    book = book_of(default_catalogue(), catalogue("2027-02-01", plans={"lite": None}))
    subscription = ScenarioBuilder.paid("2027-01-15", "MONTHLY", book, plan="lite", members=1)
    line = subscription.at("2027-05-01").ledger[-1]
    assert explain(line).prices == (
        "lite at 3,600: catalogue version 2026-11, the last one that sold the plan, on 2027-03-15 (R19)",
    )
