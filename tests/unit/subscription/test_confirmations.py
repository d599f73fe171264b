"""Confirmations: each change has one, and its email states the change, the cost and how to undo it."""

from typing import Any

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, day, on

from adapters.email.notice_emails import NoticeEmails
from subscription.confirmations import Confirmation, confirmations
from subscription.events import EVENT_KINDS
from subscription.notice_outbox import Addressee, NoticeKind

NOT_CONFIRMED = {"SERVICE_FEES_POSTED", "CANCELED", "ERASED", "REFUSED"}
"""Events without a confirmation: see `subscription/confirmations.py`."""


def confirmed(subscription: ScenarioBuilder) -> list[Confirmation]:
    return list(confirmations(subscription.provisioned, subscription.events, subscription.book))


def kinds(subscription: ScenarioBuilder) -> list[str]:
    return [each.kind for each in confirmed(subscription)]


def english(confirmation: Confirmation, subscription: ScenarioBuilder) -> str:
    email = NoticeEmails().render(confirmation, subscription.book, Addressee.CONTACT, "kim@hanbit.example")
    return f"{email.subject}\n{email.body.partition('-' * 70)[2]}"


def last_email(subscription: ScenarioBuilder, *words: str) -> None:
    """Assert that the English email of the last confirmation contains these words."""
    text = english(confirmed(subscription)[-1], subscription)
    assert [each for each in words if each not in text] == [], text


def trial(**changes: Any) -> ScenarioBuilder:
    """Build a trial from 1 January 2027 at 10:00; it ends on 31 January at 10:00, the grace on 2 March."""
    return ScenarioBuilder.requested("2027-01-01 10:00", **changes)


def annual(**changes: Any) -> ScenarioBuilder:
    """Build an annual contract for 2027: lite for 10 members, 30,000 a month."""
    return ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10, **changes)


def every_change() -> ScenarioBuilder:
    """Build a subscription with an event of each kind."""
    subscription = trial(account={"domain": "acme.co.kr"}).send(
        "switch_to_paid", date="2027-02-10", term="ANNUAL"
    )
    subscription.send("withdraw_reservation").at("2027-01-20").proves("acme.co.kr")
    subscription.send("cancel", date="2027-02-20").at("2027-02-01").send("switch_to_paid", term="MONTHLY")
    subscription.send("change_renewal_option", term="ANNUAL").send("upgrade", members=30)
    subscription.send("rename_account", domain="hanbit.example")
    subscription.send("rename_account", domain="acme.co.kr")
    subscription.send("rename_account", domain="hanbit.example").loses("hanbit.example")
    subscription.send("rename_account", group="acme")
    return subscription.at("2027-03-01").send("cancel")


def test_r34_every_event_is_confirmed_unless_exempt() -> None:
    """A new type of event needs a confirmation, or a reason to have none."""
    subscription = every_change()
    assert set(kinds(subscription)) == set(EVENT_KINDS) - NOT_CONFIRMED
    assert set(EVENT_KINDS) - NOT_CONFIRMED <= set(NoticeKind)


def test_r34_each_event_is_confirmed_once_with_its_number() -> None:
    subscription = every_change()
    numbered = dict(enumerate(subscription.events, start=1))
    for each in confirmed(subscription):
        assert numbered.pop(each.sequence) == each.event
        assert each.state.sequence == each.sequence
    assert {event.event for event in numbered.values()} <= NOT_CONFIRMED


def test_r34_monthly_renewal_is_confirmed_only_with_a_change() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY").at("2027-03-01")
    assert subscription.event_names.count("CONTRACT_RENEWED") == 2
    assert "CONTRACT_RENEWED" not in kinds(subscription)
    subscription.send("change_renewal_option", term="MONTHLY", members=9).at("2027-05-01")
    # From 1 April on 9 members; on 1 May the contract continues unchanged.
    assert kinds(subscription).count("CONTRACT_RENEWED") == 1
    cheaper = book_of(catalogue(), catalogue("2027-02-01", plans={"basic": {"list": 7_000}}))
    assert "CONTRACT_RENEWED" in kinds(
        ScenarioBuilder.paid("2027-01-01", "MONTHLY", cheaper).at("2027-02-01")
    )


def test_r34_trial_email_states_both_ends_and_the_way_out() -> None:
    last_email(
        trial(account={"domain": "acme.co.kr"}),
        "Your free trial of NAVER WORKS has started",
        "it ends on Jan 31, 2027, 10:00. Use is then suspended. Without a switch to a paid plan the service "
        "is canceled on Tuesday, March 2, 2027 at 10:00 Korean time",
        "The trial costs nothing.",
        'acme.co.kr  TXT  "naver-works-verification=',
        "To undo the request, cancel",
    )
    last_email(
        trial(book=book_of(catalogue(trial={"grace_days": 0}))),
        "Without a switch to a paid plan the service is then canceled, and all data",
    )


def test_r34_reserved_switch_email_states_the_price_of_its_day() -> None:
    last_email(
        trial().send("switch_to_paid", date="2027-02-10", term="ANNUAL", plan="premium", members=20),
        "reserved for Wednesday, February 10, 2027",
        "- Contract: annual contract, from Wednesday, February 10, 2027 to Wednesday, February 9, 2028",
        "₩10,000 per member per month, ₩200,000 per month in total (before VAT)",
        "withdraw the reservation before then",
    )


def test_r34_switch_email_states_the_cost_of_leaving() -> None:
    last_email(
        annual(),
        "₩3,000 per member per month, ₩30,000 per month in total (before VAT)",
        "Before Saturday, January 1, 2028 that costs the repayment of the discount and 10 percent",
    )
    last_email(ScenarioBuilder.paid("2027-01-01", "MONTHLY"), "A monthly contract has no cancellation fee.")


def test_r34_upgrade_email_states_both_amounts() -> None:
    last_email(
        annual().at("2027-03-15").send("upgrade", members=12),
        "From Monday, March 15, 2027 on:",
        "₩36,000 per month in total (before VAT)",
        "- Before: ₩30,000 per month in total (before VAT)",
        "An upgrade cannot be undone. A lower plan or fewer members are possible from Saturday, January 1",
    )


def test_r30_r34_annual_upgrade_email_states_the_cost_of_leaving() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10)
    last_email(
        subscription.at("2027-03-15").send("upgrade", term="ANNUAL"),
        "₩30,000 per month in total (before VAT)",
        "- Before: ₩36,000 per month in total (before VAT)",
        "Before Wednesday, March 15, 2028 that costs the repayment of the discount and 10 percent",
    )
    more = annual().at("2027-03-15").send("upgrade", members=12)
    text = english(confirmed(more)[-1], more)
    assert "repayment of the discount" not in text


def test_r34_renewal_option_email_states_the_next_contract() -> None:
    last_email(
        annual().send("change_renewal_option", term="ANNUAL", plan="basic", members=5),
        "Nothing changes before Saturday, January 1, 2028.",
        "- Plan: Basic, 5 members",
        "₩30,000 per month in total (before VAT)",
        "Until the end of the contract period, Friday, December 31, 2027, you can change the renewal option",
    )
    last_email(
        annual().send("cancel", date="2027-07-01").send("change_renewal_option", term="ANNUAL"),
        "A cancellation is reserved for Thursday, July 1, 2027: until it is withdrawn",
    )


def test_r30_r34_reserved_cancellation_email_states_the_charge() -> None:
    # June 30,000; repayment 6 × 6,000 = 36,000; fee 10% × 6 × 30,000 = 18,000.
    subscription = annual().at("2027-05-20").send("cancel", date="2027-07-01")
    last_email(
        subscription,
        "canceled at 00:00 on Thursday, July 1, 2027",
        "all data will be permanently deleted",
        "export all data before then",
        "₩84,000 is charged then (before VAT), of which ₩54,000 is for canceling before",
        "withdraw the reservation before then",
    )
    assert confirmed(subscription)[-1].event_date == day("2027-05-20")


def test_r34_cancellation_email_states_the_charge_of_its_day_and_not_of_a_renewal() -> None:
    # 14/31 × 36,000 = 16,258.06; the renewals before, on 1 February and 1 March, charge whole months.
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10)
    subscription.at("2027-01-20").send("cancel", date="2027-03-15")
    last_email(subscription, "₩16,258 is charged then (before VAT). There is no cancellation fee.")


def test_r34_withdrawal_email_states_what_happens_instead() -> None:
    last_email(
        trial().send("switch_to_paid", date="2027-02-10", term="ANNUAL").send("withdraw_reservation"),
        "Without a switch to a paid plan the service is canceled on Tuesday, March 2, 2027 at 10:00",
        "all data will be permanently deleted",
        "To undo this, reserve it again.",
    )
    last_email(
        annual().send("cancel", date="2027-07-01").send("withdraw_reservation"),
        "Your contract continues on the same terms to Friday, December 31, 2027.",
        "₩36,000 per month in total (before VAT)",
    )


def test_r10_r34_rename_email_states_the_lock() -> None:
    subscription = trial().send("rename_account", group="hanbit")
    last_email(subscription, "signs in as admin@hanbit.", "again from Saturday, January 2, 2027 at 10:00")
    assert confirmed(subscription)[-1].rename_free_at == on("2027-01-02 10:00")


def test_r12_r34_lost_domain_email_has_no_trace_of_the_winner() -> None:
    subscription = trial(account={"domain": "acme.co.kr"}).loses("acme.co.kr")
    last_email(
        subscription,
        "The ownership of your domain could not be verified",
        "There is no access until the account is renamed",
        "This does not change what you pay.",
    )


def test_r36_contract_email_states_the_members_without_a_seat() -> None:
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", members=4).at("2027-02-01")
    *_, switch, _, renewal = subscription.events
    assert (switch.event, renewal.event) == ("SWITCHED_TO_PAID", "CONTRACT_RENEWED")
    found = list(confirmations(subscription.provisioned, subscription.events, subscription.book, 6))
    # The unchanged monthly contract is confirmed as well, because two members have no seat.
    assert [(each.kind, each.locked_members) for each in found[1:]] == [
        ("SWITCHED_TO_PAID", 2),
        ("CONTRACT_RENEWED", 2),
    ]
    for each in found[1:]:
        assert "2 members have no seat: those that were added last are locked." in english(each, subscription)
    assert kinds(subscription) == ["TRIAL_STARTED", "SWITCHED_TO_PAID"]


def test_r36_members_without_a_seat_are_those_of_the_new_contract() -> None:
    """Six members are in use: ten seats are enough, and four lock two of them."""
    subscription = ScenarioBuilder.paid("2027-01-01", "MONTHLY", members=10)
    subscription.send("change_renewal_option", term="ANNUAL", members=4).at("2027-02-01")
    found = list(confirmations(subscription.provisioned, subscription.events, subscription.book, 6))
    assert {each.kind: each.locked_members for each in found if each.kind != "RENEWAL_OPTION_CHANGED"} == {
        "TRIAL_STARTED": 0,
        "SWITCHED_TO_PAID": 0,
        "CONTRACT_RENEWED": 2,
    }


@pytest.mark.parametrize("language", ["ko", "en"])
def test_html_email_has_the_same_text_escaped(language: str) -> None:
    book = book_of(catalogue(plans={"lite": {"title": "Lite & <b>{{ 7 * 7 }}</b>"}}))
    subscription = annual(book=book)
    email = NoticeEmails("https://console.example").render(
        confirmed(subscription)[-1], book, Addressee.ADMINISTRATOR, "admin@acme.example"
    )
    assert "Lite & <b>{{ 7 * 7 }}</b>, " in email.body
    assert "Lite &amp; &lt;b&gt;{{ 7 * 7 }}&lt;/b&gt;, " in email.html
    assert "<b>" not in email.html
    assert f'<div lang="{language}"' in email.html
    assert email.html.count('<a href="https://console.example/subscriptions/sub-1"') == 2
    for remote in ("<img", "<script", "<link", "http:", "url("):
        assert remote not in email.html


def test_email_names_only_its_own_addressee() -> None:
    subscription = annual()
    [first, *_] = confirmed(subscription)
    for addressee, greeting in (
        (Addressee.ADMINISTRATOR, "To the administrator admin@acme"),
        (Addressee.CONTACT, "To the contact of the account admin@acme"),
    ):
        email = NoticeEmails().render(first, subscription.book, addressee, "kim@hanbit.example")
        assert greeting in email.body
        assert greeting in email.html
        assert "kim@hanbit.example" not in email.body + email.html + email.subject
        assert "http" not in email.body + email.html
