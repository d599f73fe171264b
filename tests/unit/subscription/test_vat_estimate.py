"""VAT on charges that are not invoiced yet: the same months and rounding as on invoices."""

from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, day

from subscription.forecast import Quote
from subscription.invoice import vat_on
from subscription.vat_estimate import invoice_month, vat_on_lines


def test_vat_is_rounded_once_per_month_of_the_invoice() -> None:
    # One member of Basic at 6,000: 17/31 is 3,290 for January, then 6,000 for February.
    # On 1 March: repayment 17/31 × 1,200 + 1,200 = 1,858; 10% of 10 months and 14/31 is 6,270.
    paid = ScenarioBuilder.paid("2027-01-15", "ANNUAL", members=1)
    quote = paid.quoted("2027-03-01")
    assert isinstance(quote, Quote)
    assert [line.amount for line in quote.ledger] == [3_290, 6_000, 1_858, 6_270]
    assert [invoice_month(line) for line in quote.ledger] == [
        day("2027-01-01"),
        day("2027-02-01"),
        day("2027-03-01"),
        day("2027-03-01"),
    ]
    # 329 + 600 + 812 (of 8,128, not 185 + 627).
    assert vat_on_lines(quote.ledger, BOOK) == 1_741


def test_vat_has_the_rate_in_force_at_the_end_of_the_month() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY")
    quote = paid.quoted("2027-03-01")
    assert isinstance(quote, Quote)
    raised = catalogue("2027-02-15", invoice={"vat_percent": 15})
    # January and February at 72,000 each: 7,200 and 10,800.
    assert vat_on_lines(quote.ledger, book_of(*BOOK.versions, raised)) == 18_000


def test_vat_is_rounded_toward_zero() -> None:
    """A credit returns as much tax as the same charge has."""
    assert [vat_on(amount, 10) for amount in (19, 9, 0, -9, -19)] == [1, 0, 0, 0, -1]
