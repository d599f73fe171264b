"""Notice emails: event, date and possible actions, in both languages."""

from typing import Any

import pytest
from support.scenario_builder import ScenarioBuilder, book_of, catalogue, day

from adapters.email.notice_emails import NoticeEmail, NoticeEmails
from subscription.notice_outbox import Addressee, NoticeKind
from subscription.notices import BaseNotice, notices_due


def email_for(subscription: ScenarioBuilder, on_day: str, kind: NoticeKind | None = None) -> NoticeEmail:
    """Return the email of the only notice due on a day, or of the only one of this kind."""
    [notice] = [
        each
        for each in notices_due(subscription.state, day(on_day), subscription.book)
        if kind in (None, each.kind)
    ]
    return rendered(notice, subscription)


def rendered(
    notice: BaseNotice,
    subscription: ScenarioBuilder,
    addressee: Addressee = Addressee.ADMINISTRATOR,
    console_url: str | None = "https://console.example",
) -> NoticeEmail:
    return NoticeEmails(console_url).render(notice, subscription.book, addressee, "someone@example.com")


def assert_email_contains(subscription: ScenarioBuilder, on_day: str, *words: str) -> None:
    text = email_for(subscription, on_day).body
    assert [word for word in words if word not in text] == [], text


def trial(**changes: Any) -> ScenarioBuilder:
    """Build a trial from 1 January 2027 at 10:00; it ends on 31 January at 10:00, the grace on 2 March."""
    return ScenarioBuilder.requested("2027-01-01 10:00", **changes)


def annual(**changes: Any) -> ScenarioBuilder:
    """Build an annual contract: lite for 10 members, from 1 January 2027 to 1 January 2028."""
    return ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=10, **changes)


def test_complete_email() -> None:
    email = email_for(trial(), "2027-01-24")
    assert email.recipient == "someone@example.com"
    assert email.subject == (
        "[NAVER WORKS] 무료 체험이 2027. 1. 31.(일)에 끝납니다 "
        "/ Your free trial ends on Sunday, January 31, 2027"
    )
    assert (
        email.body
        == """\
admin@acme 관리자님께

NAVER WORKS 무료 체험이 2027. 1. 31.(일) 10:00에 끝납니다.

그때부터 이용이 중지되고 데이터는 보관됩니다. 유료로 전환하지 않으시면 2027. 3. 2.(화) 10:00에 \
서비스가 해지됩니다.

해지되면 메일, 파일, 구성원, 계정 admin@acme, 회사 정보, 설정 등 모든 데이터가 영구히 삭제됩니다. \
삭제된 데이터는 복구할 수 없습니다.

데이터를 보관하시려면 그 전에 콘솔의 구독 페이지에서 '모든 데이터 내보내기'를 선택해 주십시오.

계속 이용하시려면 그 전에 유료로 전환해 주십시오. \
전환하실 때 요금제와 구성원 수, 월 단위 또는 연 단위 계약을 고르실 수 있습니다.

콘솔의 구독 페이지:
https://console.example/subscriptions/sub-1

이 메일은 발신 전용입니다. 구독: sub-1

----------------------------------------------------------------------

To the administrator admin@acme

The free trial of NAVER WORKS ends on Sunday, January 31, 2027 at 10:00 Korean time.

Use is then suspended, and your data is kept. Without a switch to a paid plan the service is \
canceled on Tuesday, March 2, 2027 at 10:00 Korean time.

Then all data will be permanently deleted: mail, files, members, the account admin@acme, company \
information and settings. Deleted data cannot be recovered.

To keep a copy, export all data before then: on the subscription's page in the console, choose \
Export all data.

To keep using NAVER WORKS, switch to a paid plan before then. \
You can choose a plan, the number of members, and a monthly or an annual contract.

The subscription in the console:
https://console.example/subscriptions/sub-1

This address does not receive mail. Subscription: sub-1
"""
    )


def test_trial_end_email_states_what_follows() -> None:
    assert_email_contains(
        trial().send("switch_to_paid", date="2027-02-10", term="ANNUAL"),
        "2027-01-30",
        "예약하신 대로 2027. 2. 10.(수)에 유료로 전환되면",
        "You can use NAVER WORKS again from Wednesday, February 10, 2027, when it switches to a paid plan as",
    )
    assert_email_contains(
        trial().send("cancel", date="2027-02-20"),
        "2027-01-30",
        "예약하신 대로 2027. 2. 20.(토)에 서비스가 해지됩니다.",
        "On Saturday, February 20, 2027 the service is canceled as reserved.",
        *DELETION,
    )


DELETION = (
    "계정 admin@acme, 회사 정보, 설정 등 모든 데이터가 영구히 삭제됩니다.",
    "all data will be permanently deleted: mail, files, members, the account admin@acme, company",
    "To keep a copy, export all data before then:",
)


@pytest.mark.parametrize(
    ("subscription", "on_day", "words"),
    [
        (
            trial(),
            "2027-02-16",
            (
                "유료로 전환하지 않으시면 2027. 3. 2.(화) 10:00에 서비스가 해지됩니다.",
                "Your free trial of NAVER WORKS has ended and use is suspended. Without a switch to a paid "
                "plan the service is canceled on Tuesday, March 2, 2027 at 10:00 Korean time.",
                "If you do not want this, switch to a paid plan before then.",
            ),
        ),
        (
            trial(book=book_of(catalogue(trial={"grace_days": 0}))),
            "2027-01-30",
            (
                "Your free trial of NAVER WORKS ends on Sunday, January 31, 2027 at 10:00 Korean time. "
                "Without a switch to a paid plan the service is then canceled.",
                "If you do not want this, switch to a paid plan before then.",
            ),
        ),
        (
            trial(book=book_of(catalogue(trial={"grace_days": 7}))),
            "2027-01-24",
            (
                "ends on Sunday, January 31, 2027 at 10:00 Korean time. Use is then suspended, and without a "
                "switch to a paid plan the service is canceled on Sunday, February 7, 2027 at 10:00 Korean "
                "time.",
            ),
        ),
        (
            trial().send("cancel", date="2027-01-20"),
            "2027-01-19",
            (
                "As reserved, NAVER WORKS is canceled at 00:00 on Wednesday, January 20, 2027 (Korean time).",
                "If you do not want this, withdraw the reservation before then.",
            ),
        ),
    ],
    ids=["grace", "no-grace", "short-grace", "reserved"],
)
def test_r34_deletion_email_states_what_is_deleted_and_why(
    subscription: ScenarioBuilder, on_day: str, words: tuple[str, ...]
) -> None:
    email = email_for(subscription, on_day)
    assert " / All your NAVER WORKS data will be deleted on " in email.subject
    assert_email_contains(subscription, on_day, *DELETION, *words)


def test_switch_email_states_contract_plan_and_price() -> None:
    subscription = trial().send(
        "switch_to_paid", date="2027-01-15", term="MONTHLY", plan="premium", members=1
    )
    assert_email_contains(
        subscription,
        "2027-01-14",
        "- 계약: 월 단위 계약, 2027. 1. 15.(금)부터 2027. 2. 14.(일)까지",
        "- 요금제: Premium, 구성원 1명",
        "- 요금: 구성원 1명당 월 12,000원, 합계 월 12,000원 (부가가치세 별도)",
        "- Contract: monthly contract, from Friday, January 15, 2027 to Sunday, February 14, 2027",
        "- Plan: Premium, 1 member\n",
        "If you do not want this, withdraw the reservation before then, or reserve another date.",
    )


def test_cancellation_email_states_the_charge() -> None:
    early = annual().at("2027-06-01").send("cancel", date="2027-07-01")
    assert_email_contains(
        early,
        "2027-06-30",
        "84,000원이며, 그중 54,000원은",
        "₩84,000 is charged then (before VAT), of which ₩54,000 is",
    )
    monthly = ScenarioBuilder.paid("2027-01-01", "MONTHLY", plan="lite", members=10).send(
        "cancel", date="2027-01-16"
    )
    # 15/31 × 36,000 = 17,419.4
    assert_email_contains(
        monthly, "2027-01-15", "17,419원이며, 해지에 따른 위약금은 없습니다", "There is no cancellation fee."
    )
    assert_email_contains(
        trial().send("cancel", date="2027-01-16"),
        "2027-01-15",
        "해지에 따라 청구되는 금액은 없습니다.",
        "Nothing is charged for the cancellation.",
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            None,
            (
                "갱신 옵션이 설정되어 있지 않아 월 단위 계약으로 이어집니다.",
                "- 계약: 월 단위 계약, 2028. 1. 31.(월)까지",
                "It is monthly because no renewal option is set.",
                "Price: ₩3,600 per member per month, ₩36,000 per month in total (before VAT)",
            ),
        ),
        (
            {"term": "ANNUAL", "plan": "basic", "members": 5},
            (
                "고르신 갱신 옵션에 따른 것입니다.",
                "- 계약: 연 단위 계약, 2028. 12. 31.(일)까지",
                "This is the renewal option that you chose.",
                "Plan: Basic, 5 members",
                "Price: ₩6,000 per member per month, ₩30,000 per month in total (before VAT)",
            ),
        ),
    ],
)
def test_contract_end_email_states_what_follows_and_why(
    option: dict[str, Any] | None, words: tuple[str, ...]
) -> None:
    subscription = annual().send("change_renewal_option", **option) if option else annual()
    assert_email_contains(
        subscription,
        "2027-12-02",
        "연 단위 계약의 기간이 2027. 12. 31.(금)에 끝납니다.",
        "The next contract begins on Saturday, January 1, 2028:",
        "해지일을 2028. 1. 1.(토)로 예약해 주십시오. 그날의 해지에는 위약금이 없습니다.",
        "reserve the cancellation for Saturday, January 1, 2028: there is no cancellation fee on that day.",
        *words,
    )


CHEAPER = book_of(
    catalogue(), catalogue("2027-02-01", plans={"lite": {"list": 3_500}, "basic": {"list": 7_000}})
)
"""Monthly contracts cost less from 1 February 2027 on."""


def test_contract_end_email_mentions_reserved_cancellation() -> None:
    later = ScenarioBuilder.paid("2027-01-01", "MONTHLY", book=CHEAPER).send("cancel", date="2027-03-15")
    assert_email_contains(
        later,
        "2027-01-25",
        "2027. 3. 15.(월)로 해지가 예약되어 있으므로",
        "It is monthly because a cancellation is reserved for Monday, March 15, 2027",
    )
    assert "no cancellation fee" not in email_for(later, "2027-01-25").body
    assert_email_contains(
        annual().at("2027-06-01").send("cancel", date="2028-01-01"),
        "2027-12-02",
        "예약하신 대로 2028. 1. 1.(토) 0시에 서비스가 해지됩니다.",
        "There is no cancellation fee, because the contract period is over.",
    )


def test_domain_email_lists_missing_records() -> None:
    subscription = trial(account={"domain": "acme.co.kr"}).send("rename_account", domain="acme.example")
    present = email_for(subscription, "2027-01-04", NoticeKind.DOMAIN_UNVERIFIED)
    new = email_for(subscription, "2027-01-04", NoticeKind.RENAME_UNVERIFIED)
    for each, domain in ((present, "acme.co.kr"), (new, "acme.example")):
        records = (
            f'{domain}  TXT  "naver-works-verification=c2VjcmV0LXRva2Vu"\n'
            f"c2VjcmV0LXRva2Vu.{domain}  CNAME  verify.worksmobile.example\n"
        )
        assert each.body.count(records) == 2
        assert each.subject.count(domain) == 2
    assert "Until then use is restricted." in present.body
    assert "Until then the current name stays." in new.body


def test_catalogue_texts_are_escaped() -> None:
    odd = catalogue(plans={"lite": {"title": "Lite & <b>{{ 7 * 7 }}</b>"}})
    assert_email_contains(
        annual(book=book_of(odd)), "2027-12-02", "Plan: Lite & <b>{{ 7 * 7 }}</b>, 10 members"
    )
