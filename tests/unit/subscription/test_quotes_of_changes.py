"""Quotes of a switch to paid and of an upgrade (R16, R19-R21, R25)."""

from support.scenario_builder import BOOK, ScenarioBuilder, book_of, catalogue, day, fee, posted

from subscription.commands import ChangeRenewalOption, SwitchToPaid, Upgrade
from subscription.forecast import ChangeQuote, quote_renewal, quote_switch, quote_upgrade
from subscription.refusals import Refusal, RefusalCode


def quote_of_change(subscription: ScenarioBuilder, command: str, **argument: object) -> ChangeQuote | Refusal:
    read = subscription.read(command, argument)
    if isinstance(read, SwitchToPaid):
        return quote_switch(subscription.state, read, subscription.now, BOOK)
    assert isinstance(read, Upgrade), read
    return quote_upgrade(subscription.state, read, subscription.now, BOOK)


def accepted_quote(subscription: ScenarioBuilder, command: str, **argument: object) -> ChangeQuote:
    before = subscription.state
    answer = quote_of_change(subscription, command, **argument)
    assert isinstance(answer, ChangeQuote), answer
    assert subscription.state == before
    return answer


def test_r16_monthly_switch_quote_covers_the_first_period() -> None:
    trial = ScenarioBuilder.requested("2026-12-20 10:00", plan="basic", members=10)
    found = accepted_quote(trial, "switch_to_paid", date="2027-01-15", term="MONTHLY")
    assert posted(found.ledger) == [
        fee("2027-01-15", "2027-02-01", 39_483),  # 17/31 × 72,000 = 39,483.9
        fee("2027-02-01", "2027-02-15", 36_000),  # 14/28 × 72,000
    ]
    assert (found.total, found.monthly, found.monthly_now) == (75_483, 72_000, 0)
    assert (found.date, found.contract.end_day) == (day("2027-01-15"), day("2027-02-15"))


def test_r16_switch_charges_equal_its_quote() -> None:
    trial = ScenarioBuilder.requested("2026-12-20 10:00", plan="lite", members=10)
    found = accepted_quote(trial, "switch_to_paid", date="2027-01-15", term="ANNUAL", members=20)
    assert (found.monthly, found.members) == (60_000, 20)
    assert posted(found.ledger[:2]) == [
        fee("2027-01-15", "2027-02-01", 32_903),  # 17/31 × 60,000 = 32,903.2
        fee("2027-02-01", "2027-03-01", 60_000),
    ]
    # The first and last month are partial (17 and 14 days of January); eleven months are full.
    assert found.total == 32_903 + 11 * 60_000 + 27_096
    trial.send("switch_to_paid", date="2027-01-15", term="ANNUAL", members=20).at("2028-01-01")
    assert tuple(trial.ledger) == found.ledger[:-1]


def test_r25_upgrade_quote_covers_the_rest_of_the_period() -> None:
    subscription = ScenarioBuilder.paid("2027-01-11", "MONTHLY", plan="lite", members=10).at(
        "2027-03-15 09:30"
    )
    found = accepted_quote(subscription, "upgrade", plan="basic")
    assert posted(found.ledger) == [
        fee("2027-03-15", "2027-04-01", 39_483),  # 17/31 × 72,000 = 39,483.9
        fee("2027-04-01", "2027-04-11", 24_000),  # 10/30 × 72,000
    ]
    assert (found.total, found.monthly, found.monthly_now) == (63_483, 72_000, 36_000)
    subscription.send("upgrade", plan="basic").at("2027-04-01")
    assert subscription.ledger[-1] == found.ledger[0]


def test_r25_a_new_annual_contract_is_quoted_to_its_own_end() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10).at(
        "2027-04-01 09:00"
    )
    found = accepted_quote(subscription, "upgrade", term="ANNUAL")
    assert (found.contract.first_day, found.contract.end_day) == (day("2027-04-01"), day("2028-04-01"))
    assert (found.total, found.monthly, found.monthly_now) == (360_000, 30_000, 36_000)


def test_r25_reserved_cancellation_does_not_change_the_quote() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10).at(
        "2027-10-01 09:00"
    )
    before = accepted_quote(subscription, "upgrade", members=20)
    assert before.total == 180_000  # October, November, December at 60,000
    subscription.send("cancel", date="2027-11-01")
    assert accepted_quote(subscription, "upgrade", members=20) == before


def test_r26_refused_command_has_no_quote() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="basic", members=10)
    refused = [
        quote_of_change(subscription, "switch_to_paid", term="ANNUAL"),
        quote_of_change(subscription, "upgrade", members=9),
        quote_of_change(subscription, "upgrade"),
    ]
    codes = [answer.code for answer in refused if isinstance(answer, Refusal)]
    assert codes == [RefusalCode.ALREADY_PAID, RefusalCode.LOWERED_BY_UPGRADE, RefusalCode.NOT_AN_UPGRADE]


def test_r25_equal_prices_quote_excludes_days_before_change() -> None:
    """The line is 10 members at 3,000 for 16/31 of January, eleven months, and 15/31 of January."""
    same = catalogue(plans={"lite": {"list": 3_000, "annual": 3_000}})
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", book_of(same), plan="lite", members=10).at(
        "2027-01-16"
    )
    command = subscription.read("upgrade", {"term": "ANNUAL"})
    assert isinstance(command, Upgrade)
    quote = quote_upgrade(subscription.state, command, subscription.now, subscription.book)
    assert isinstance(quote, ChangeQuote)
    assert [line.amount for line in quote.ledger] == [15_483, *[30_000] * 11, 14_516]
    assert quote.total == 359_999
    assert quote.ledger[0].first_day == day("2027-01-16")


def test_r24_renewal_quote_covers_the_next_contract() -> None:
    subscription = ScenarioBuilder.paid("2027-01-15", "ANNUAL", plan="basic", members=10)
    command = subscription.read("change_renewal_option", {"term": "MONTHLY", "plan": "lite", "members": 5})
    assert isinstance(command, ChangeRenewalOption)
    quote = quote_renewal(subscription.state, command, subscription.now, BOOK)
    assert isinstance(quote, ChangeQuote)
    assert (quote.date, quote.contract.end_day) == (day("2028-01-15"), day("2028-02-15"))
    assert (quote.monthly_now, quote.monthly) == (60_000, 18_000)
    # 17/31 and 14/29 of 18,000: February 2028 has 29 days.
    assert [line.amount for line in quote.ledger] == [9_870, 8_689]


def test_r24_renewal_has_no_quote_while_a_cancellation_is_reserved() -> None:
    subscription = ScenarioBuilder.paid("2027-01-15", "MONTHLY").send("cancel", date="2027-06-01")
    command = subscription.read("change_renewal_option", {"term": "ANNUAL"})
    assert isinstance(command, ChangeRenewalOption)
    assert quote_renewal(subscription.state, command, subscription.now, BOOK) is None
