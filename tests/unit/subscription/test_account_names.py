"""Account names: R4, R5."""

import pytest
from support.scenario_builder import (
    ScenarioBuilder,
    accepted,
    problems,
    read,
)

from subscription.account import Account, AccountKind
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Request, name_taken_refusal

LABEL = "a" * 63


@pytest.mark.parametrize(
    "name", ["ab", "a1", "12", "a-b", "a-b-c", "a" * 22, "linen", "admins", "online", "works-mobile", "1-2"]
)
def test_r04_valid_group_name(name: str) -> None:
    assert accepted(account={"group": name}).account.account == Account(kind=AccountKind.GROUP, name=name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a", "a" * 23),
        *("-ab", "ab-", "a--b", "--"),
        *("Acme", "ac me", "ac_me", "ac.me", "에이스", "acmé", "ab\n", "a\u0661"),
        *("line", "admin"),
        *("worksmobile", "my-worksmobile-1", "lineworks", "xlineworksx"),
    ],
)
def test_r04_invalid_group_name(name: str) -> None:
    assert problems(account={"group": name}) == [("account.group", RefusalCode.INVALID_GROUP_NAME)]


@pytest.mark.parametrize(
    "name",
    [
        *("acme.co.kr", "a.b", "1.kr", "a-b.kr", "a--b.kr", "acme.k1"),
        f"{LABEL}.kr",
        f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}",  # 3 × 63 + 61 and three dots: 253
    ],
)
def test_r04_valid_domain_name(name: str) -> None:
    assert accepted(account={"domain": name}).account.account == Account(kind=AccountKind.DOMAIN, name=name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "acme", ".kr", "acme.", "a..kr", "acme.kr."),
        *("-a.kr", "a-.kr", "a_b.kr", "a b.kr", "a/b.kr", "acme.kr\n", "*.kr"),
        *("acme.1", "192.168.0.1"),
        f"{LABEL}a.kr",
        f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}",
        *("xn--a.kr", "acme.xn--0"),
        *("한국..kr", "한국.1", "\u200d.kr", f"{'한' * 63}.kr"),
    ],
)
def test_r04_invalid_domain_name(name: str) -> None:
    assert problems(account={"domain": name}) == [("account.domain", RefusalCode.INVALID_DOMAIN_NAME)]


@pytest.mark.parametrize("name", ["com", "co.kr", "CO.KR", "pe.kr", "com.au", "acme.ck", "個人.hk"])
def test_r05_public_suffix_is_no_domain(name: str) -> None:
    assert problems(account={"domain": name}) == [("account.domain", RefusalCode.INVALID_DOMAIN_NAME)]
    subscription = ScenarioBuilder.requested("2027-01-01 09:00")
    refused = subscription.expect_refusal("rename_account", domain=name)
    assert [problem.code for problem in refused.problems] == [RefusalCode.INVALID_DOMAIN_NAME]


@pytest.mark.parametrize(
    "name", ["acme.co.kr", "acme.com", "www.ck", "kr.com", "acme.github.io", "github.io"]
)
def test_r05_domain_below_a_public_suffix_is_accepted(name: str) -> None:
    # Suffixes such as github.io have an owner, who can verify them.
    assert accepted(account={"domain": name}).account.account.name == name


@pytest.mark.parametrize("spelled", ["한국.kr", "한국.KR", "한국\u3002kr", "xn--3e0b707e.kr"])
def test_r04_r05_internationalized_name_has_one_spelling(spelled: str) -> None:
    # Both spellings must normalize to one name; otherwise two subscriptions could hold it.
    assert accepted(account={"domain": spelled}).account.account.name == "xn--3e0b707e.kr"


@pytest.mark.parametrize("account", [{}, {"group": "acme", "domain": "acme.co.kr"}, {"group": None}])
def test_r04_the_name_is_either_of_the_two_and_never_guessed(account: object) -> None:
    assert problems(account=account) == [("account", RefusalCode.INVALID_VALUE)]


def test_r04_a_name_without_its_kind_is_refused() -> None:
    assert problems(account="acme.co.kr") == [("account", RefusalCode.WRONG_TYPE)]


def test_r05_renaming_releases_the_old_name() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", account={"group": "acme"})
    renamed = subscription.send("rename_account", group="acme-2").events[-1]
    assert renamed.event == "ACCOUNT_RENAMED"
    assert renamed.released == ("acme",)


@pytest.mark.parametrize(("kind", "field"), [("GROUP", "account.group"), ("DOMAIN", "account.domain")])
def test_r05_taken_name_is_refused_at_its_field(kind: str, field: str) -> None:
    refusal = name_taken_refusal(AccountKind(kind))
    assert (refusal.code, refusal.field) == (RefusalCode.NAME_TAKEN, field)
    assert [(p.field, p.code) for p in refusal.problems] == [(field, RefusalCode.NAME_TAKEN)]


def test_r05_an_erased_subscription_holds_no_name() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", account={"domain": "acme.co.kr"})
    subscription.proves("acme.co.kr").send("rename_account", domain="acme.kr").send("cancel").at(
        subscription.now
    )
    assert (subscription.state.state, subscription.state.account, subscription.state.pending_domains) == (
        "ERASED",
        None,
        (),
    )


@pytest.mark.parametrize(
    "spelled", ["ACME.co.kr", "Acme.Co.KR", "\uff21\uff23\uff2d\uff25.co.kr", "acme.co.kr"]
)
def test_r4_a_domain_is_lowercase_however_it_is_typed(spelled: str) -> None:
    request = read(account={"domain": spelled})
    assert isinstance(request, Request)
    assert request.account.account.name == "acme.co.kr"


@pytest.mark.parametrize(
    "typed",
    [
        "https://acme.co.kr/",
        "http://acme.co.kr",
        "acme.co.kr/path",
        "acme.co.kr:443",
        "user@acme.co.kr",
        "a.kr?b",
        "acme.co.kr.",
        " acme.co.kr",
        "acme .co.kr",
    ],
)
def test_r4_non_domain_refusal_shows_a_valid_example(typed: str) -> None:
    refused = read(account={"domain": typed})
    assert isinstance(refused, Refusal)
    [problem] = refused.problems
    assert problem.key == "INVALID_DOMAIN_NAME.NOT_A_DOMAIN"
    assert "a domain such as acme.co.kr" in problem.message
