"""Monthly against annual: totals, and the day on which annual pays off (R19, R30, R35)."""

from datetime import timedelta

from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, day, on

from subscription.catalogue import PriceBook
from subscription.commands import SwitchToPaid, Upgrade
from subscription.term_comparison import TermComparison, compare_terms


def compared(subscription: ScenarioBuilder, command: str, **argument: object) -> TermComparison | None:
    change = subscription.read(command, argument)
    assert isinstance(change, SwitchToPaid | Upgrade), change
    return compare_terms(subscription.state, change, subscription.now, subscription.book)


def switch_on_new_year(book: PriceBook) -> TermComparison:
    trial = ScenarioBuilder.requested("2026-12-20 10:00", book, plan="lite", members=10)
    found = compared(trial, "switch_to_paid", date="2027-01-01", term="MONTHLY")
    assert found is not None
    return found


def test_r30_annual_pays_off_at_the_end_of_its_contract() -> None:
    found = switch_on_new_year(BOOK)
    assert (found.monthly.total, found.annual.total, found.saving) == (432_000, 360_000, 72_000)
    assert (found.monthly.monthly, found.annual.monthly) == (36_000, 30_000)
    # On 31 December the annual contract costs 96 more: 10% of 1/31 of 30,000. The discount is repaid.
    assert found.pays_off_from == found.end_day == day("2028-01-01")


def test_r35_annual_pays_off_earlier_if_the_list_price_rises() -> None:
    raised = catalogue("2027-07-01", announced_on=day("2027-05-01"), plans={"lite": {"list": 5_000}})
    found = switch_on_new_year(book_of(*BOOK.versions, raised))
    # Monthly: six months at 36,000, six at 50,000.
    assert found.monthly.total == 516_000
    # With m months: 36,000 m + 10% of 30,000 (12 - m) against 216,000 + 50,000 (m - 6): m is 7.06 or more.
    # Two days of August are 7 + 2/31 = 7.065 months, one day is 7.032.
    assert found.pays_off_from == day("2027-08-03")


def test_annual_that_costs_more_never_pays_off() -> None:
    lowered = catalogue("2027-02-01", plans={"lite": {"list": 2_000, "annual": 2_000}})
    found = switch_on_new_year(book_of(*BOOK.versions, lowered))
    # 36,000 in January, eleven months at 20,000; the annual contract keeps its price of 3,000.
    assert (found.monthly.total, found.annual.total) == (256_000, 360_000)
    assert found.pays_off_from is None


def test_r25_upgrade_compares_the_present_contract_with_annual() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10).at("2027-04-01 09:00")
    kept = compared(paid, "upgrade", term="ANNUAL")
    assert kept is not None
    assert (kept.first_day, kept.end_day) == (day("2027-04-01"), day("2028-04-01"))
    assert (kept.monthly.total, kept.annual.total) == (432_000, 360_000)
    raised = compared(paid, "upgrade", members=20)
    assert raised is not None
    assert (raised.monthly.total, raised.annual.total) == (864_000, 720_000)


def test_refused_change_has_no_comparison() -> None:
    annual = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10)
    assert compared(annual, "upgrade", members=20) is None
    trial = ScenarioBuilder.requested("2026-12-20 10:00")
    assert compared(trial, "switch_to_paid", date="2027-06-01", term="ANNUAL") is None


def test_pay_off_day_agrees_with_the_ledger_of_both_contracts() -> None:
    """Both subscriptions are canceled the day before, and on the day; their ledgers decide."""
    raised = catalogue("2027-07-01", announced_on=day("2027-05-01"), plans={"lite": {"list": 5_000}})
    book = book_of(*BOOK.versions, raised)
    found = switch_on_new_year(book)
    assert found.pays_off_from is not None
    for days, annual_costs_more in ((-1, True), (0, False)):
        end = found.pays_off_from + timedelta(days=days)
        totals = {}
        for term in ("MONTHLY", "ANNUAL"):
            subscription = ScenarioBuilder.requested("2026-12-20 10:00", book, plan="lite", members=10)
            subscription.send("switch_to_paid", date="2027-01-01", term=term)
            subscription.at(on(f"{end}")).send("cancel")
            totals[term] = sum(line.amount for line in subscription.ledger)
        assert (totals["ANNUAL"] > totals["MONTHLY"]) is annual_costs_more
