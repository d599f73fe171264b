"""Subscription requests: R1 to R9."""

import unicodedata
from typing import Any

import pytest
from support.scenario_builder import (
    BOOK,
    ScenarioBuilder,
    book_of,
    catalogue,
    default_catalogue,
    on,
    problems,
    read,
    request_body,
)

from subscription.commands import Command, parse_command
from subscription.password_policy import password_problems
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Account, AccountKind, Request, name_taken_refusal, parse_request
from subscription.state import provisioning

TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]
LABEL = "a" * 63


def accepted(**changes: Any) -> Request:
    answer = read(**changes)
    assert isinstance(answer, Request), answer
    return answer


# -- R1, R2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["VPC", "CLASSIC"])
def test_r01_the_platform_is_vpc_or_classic(platform: str) -> None:
    assert problems(platform=platform) == []


@pytest.mark.parametrize("region", ["US", "kr", "Korea", "", None, 82])
def test_r01_the_region_is_korea_and_nothing_else(region: object) -> None:
    assert problems(region=region) == [("region", RefusalCode.INVALID_VALUE)]


@pytest.mark.parametrize("platform", ["vpc", "CLOUD", None])
def test_r01_there_is_no_other_platform(platform: object) -> None:
    assert problems(platform=platform) == [("platform", RefusalCode.INVALID_VALUE)]


@pytest.mark.parametrize("plan", ["lite", "basic", "premium"])
def test_r02_every_plan_of_the_catalogue_begins_as_a_free_trial(plan: str) -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", plan=plan)
    assert subscription.state.state == "TRIAL"
    assert (subscription.state.plan, subscription.state.contract, subscription.ledger) == (plan, None, [])


@pytest.mark.parametrize("plan", ["gold", "Basic", ""])
def test_r02_a_plan_that_is_not_in_the_catalogue_is_refused(plan: str) -> None:
    assert problems(plan=plan) == [("plan", RefusalCode.PLAN_NOT_SOLD)]


@pytest.mark.parametrize("members", [1, 100_000])
def test_r02_members_go_up_to_the_cap_of_the_catalogue(members: int) -> None:
    assert problems(members=members) == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (0, RefusalCode.INVALID_VALUE),
        (-1, RefusalCode.INVALID_VALUE),
        (100_001, RefusalCode.TOO_MANY_MEMBERS),
        (10**30, RefusalCode.TOO_MANY_MEMBERS),
        ("10", RefusalCode.WRONG_TYPE),
        (10.0, RefusalCode.WRONG_TYPE),
        (True, RefusalCode.WRONG_TYPE),
    ],
)
def test_r02_invalid_members_are_refused(members: object, code: RefusalCode) -> None:
    assert problems(members=members) == [("members", code)]


# -- R3 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agreed", [TERMS, [*TERMS, {"id": "marketing", "version": "2026-01"}], TERMS[::-1]])
def test_r03_required_current_terms_suffice(agreed: object) -> None:
    assert problems(agreed_terms=agreed) == []


@pytest.mark.parametrize(
    "agreed",
    [
        [],
        TERMS[:1],
        [TERMS[0], {"id": "privacy", "version": "2025-01"}],
        [*TERMS, {"id": "marketing", "version": "2025-01"}],
        [*TERMS, {"id": "unheard-of", "version": "1"}],
    ],
)
def test_r03_a_missing_outdated_or_unknown_term_is_refused(agreed: object) -> None:
    assert problems(agreed_terms=agreed) == [("agreed_terms", RefusalCode.TERMS_NOT_AGREED)]


def test_r03_refusal_names_the_missing_terms() -> None:
    answer = read(agreed_terms=TERMS[:1])
    assert isinstance(answer, Refusal)
    assert "privacy (2026-01)" in answer.message


def test_r03_agreed_terms_and_time_are_stored() -> None:
    started = ScenarioBuilder.requested("2027-01-01 09:00", agreed_terms=TERMS).events[0]
    assert started.event == "TRIAL_STARTED"
    assert [(term.id, term.version) for term in started.agreed_terms] == [
        ("service", "2026-01"),
        ("privacy", "2026-01"),
    ]
    assert started.at == on("2027-01-01 09:00")


# -- R4, R5 ------------------------------------------------------------------------------------------


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


# -- R6, R7 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("admin_id", ["ab", "..", "-_", ".a", "a.", "12", "a" * 40, "kim.min-ji_1"])
def test_r06_valid_admin_id(admin_id: str) -> None:
    assert accepted(admin_id=admin_id).admin_id == admin_id


@pytest.mark.parametrize(
    "admin_id", ["", "a", "a" * 41, "Admin", "ad min", "ad@min", "관리자", "admin\n", "\uff41dmin"]
)
def test_r06_invalid_admin_id(admin_id: str) -> None:
    assert problems(admin_id=admin_id) == [("admin_id", RefusalCode.INVALID_ADMIN_ID)]


@pytest.mark.parametrize(
    ("account", "name"), [({"group": "acme"}, "kim@acme"), ({"domain": "acme.co.kr"}, "kim@acme.co.kr")]
)
def test_r06_the_account_is_the_id_at_the_name(account: dict[str, str], name: str) -> None:
    request = accepted(account=account, admin_id="kim")
    assert provisioning("abc", request).admin_account == name


@pytest.mark.parametrize(
    "password",
    [
        "Passw0rd",
        "Ab1xQ" * 8,
        "!~Qw7mK{",
        "Qw7yza24",  # y, z, a: the alphabet does not wrap around
        "Qw890bdf",  # 8, 9, 0: digits do not wrap around either
        "@ABxq1z7",  # @ precedes A in ASCII but is not alphabetic
        "/01xQ9:w",  # / precedes 0 in ASCII but is not a digit
        "aAaKq19z",  # different case, so not the same character
        "aaKaaK11",  # two in a row, then two others in a row
        "acegIK13",  # ascending by two
    ],
)
def test_r07_valid_password(password: str) -> None:
    assert password_problems(password) == ()


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("Passw0r", "8 to 40 characters"),
        ("Ab1xQ" * 8 + "z", "8 to 40 characters"),
        ("passw0rd", "uppercase"),
        ("PASSW0RD", "lowercase"),
        ("Password", "digit"),
        ("Pass w0rd", "printable ASCII characters without spaces"),
        ("Passw0rdé", "printable ASCII"),
        ("Passw0rd\x7f", "printable ASCII"),
        ("Passw0rd\t", "printable ASCII"),
    ],
)
def test_r07_invalid_password(password: str, expected: str) -> None:
    [problem] = password_problems(password)
    assert expected in problem.message
    assert (problem.field, problem.code) == ("password", RefusalCode.INVALID_PASSWORD)


@pytest.mark.parametrize("run", ["abc", "CBA", "321", "789", "aBc", "XyZ", "zYx", "012"])
def test_r07_a_password_has_no_three_consecutive_characters(run: str) -> None:
    [problem] = password_problems(f"Kq7{run}Kq7")
    assert "sequences of three" in problem.message


@pytest.mark.parametrize("run", ["aaa", "AAA", "111", "!!!", "aaaa"])
def test_r07_a_password_has_no_character_three_times_in_a_row(run: str) -> None:
    [problem] = password_problems(f"Kq7{run}Kq7")
    assert "same character" in problem.message


def test_r07_refusal_lists_every_password_problem() -> None:
    # Too short; no uppercase character, no digit; abc; !!!.
    assert len(password_problems("abc!!!")) == 5


@pytest.mark.parametrize("text", ["Passw0rd", "", "$2b$12$abcdefghijklmnopqrstuv", "$argon2i$v=19$m=1$aa$bb"])
def test_r07_only_an_argon2id_hash_is_taken(text: str) -> None:
    assert problems(password_hash=text) == [("password_hash", RefusalCode.INVALID_PASSWORD_HASH)]


_SALT, _DIGEST = "c2FtcGxlc2FsdHNhbXBsZQ", "c2FtcGxlaGFzaHNhbXBsZWhhc2hzYW1wbGVoYXNoc2E"


@pytest.mark.parametrize("cost", ["m=19456,t=2,p=1", "m=65536,t=3,p=4", "m=65536,t=4,p=1"])
def test_r07_a_hash_of_bounded_cost_is_taken(cost: str) -> None:
    assert not problems(password_hash=f"$argon2id$v=19${cost}${_SALT}${_DIGEST}")


@pytest.mark.parametrize(
    "parameters",
    [
        f"v=19$m=2097152,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65537,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=4000000000,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=5,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=3,p=5${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=3,p=0${_SALT}${_DIGEST}",
        f"v=19$m=19455,t=2,p=1${_SALT}${_DIGEST}",
        f"v=19$m=19456,t=1,p=1${_SALT}${_DIGEST}",
        f"v=19$m=8,t=1,p=1${_SALT}${_DIGEST}",
        f"v=16$m=65536,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$m=065536,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$m=٦٥٥٣٦,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$t=3,m=65536,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=3,p=4,data=AAAA${_SALT}${_DIGEST}",
        f"m=65536,t=3,p=4${_SALT}${_DIGEST}",
        f"v=19$m=65536,t=3,p=4$c2FsdA${_DIGEST}",
        f"v=19$m=65536,t=3,p=4${_SALT}$c2hvcnQ",
        f"v=19$m=65536,t=3,p=4${_SALT[:-1]}R${_DIGEST}",  # with padding bits that no encoder sets
        f"v=19$m=65536,t=3,p=4${_SALT}${'A' * 200}",
        f"v=19$m=65536,t=3,p=4${_SALT}${_DIGEST}\n",
    ],
)
def test_r07_hash_of_other_cost_is_refused_with_allowed_costs(parameters: str) -> None:
    refused = read(password_hash=f"$argon2id${parameters}")
    assert isinstance(refused, Refusal)
    [problem] = refused.problems
    assert (problem.field, problem.code) == ("password_hash", RefusalCode.INVALID_PASSWORD_HASH)
    assert "version 19, m 19456 to 65536 KiB, t 2 to 4, p 1 to 4" in problem.message


def test_r07_plaintext_password_is_refused_and_not_quoted() -> None:
    answer = read(password="Passw0rd")
    assert isinstance(answer, Refusal)
    assert [(p.field, p.code) for p in answer.problems] == [("password", RefusalCode.UNKNOWN_FIELD)]
    assert "Passw0rd" not in answer.model_dump_json()


# -- R8, R9 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "주식회사 에이스", "x" * 100, "O'Neill & Söhne <KG>"])
def test_r08_a_company_name(name: str) -> None:
    assert accepted(company_name=name).company_name == name


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "Ac\nme", "Ac\x00me", "Ac\u202eme"])
def test_r08_invalid_company_name(name: str) -> None:
    assert problems(company_name=name) == [("company_name", RefusalCode.INVALID_COMPANY_NAME)]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("02-1234-5678", "+82212345678"),
        ("010 1234 5678", "+821012345678"),
        ("+82 2-1234-5678", "+82212345678"),
        ("+1 650-253-0000", "+16502530000"),
    ],
)
def test_r08_phone_number_defaults_to_korea_stored_as_e164(typed: str, kept: str) -> None:
    assert accepted(company_phone=typed).company_phone == kept


@pytest.mark.parametrize("typed", ["", "abc", "112", "+82", "9" * 300])
def test_r08_invalid_phone_number(typed: str) -> None:
    assert problems(company_phone=typed) == [("company_phone", RefusalCode.INVALID_PHONE)]


def test_r09_problems_are_listed_by_field() -> None:
    found = problems(region="US", plan="gold", account={"group": "-"}, admin_id="A", company_phone="?")
    assert found == [
        ("region", RefusalCode.INVALID_VALUE),
        ("plan", RefusalCode.PLAN_NOT_SOLD),
        ("account.group", RefusalCode.INVALID_GROUP_NAME),
        ("admin_id", RefusalCode.INVALID_ADMIN_ID),
        ("company_phone", RefusalCode.INVALID_PHONE),
    ]


@pytest.mark.parametrize("field", sorted(request_body()))
def test_r09_every_field_must_be_there_and_no_other(field: str) -> None:
    body = request_body()
    del body[field]
    body[f"{field}s"] = "x"
    answer = parse_request(body, BOOK, on("2027-01-01 09:00"))
    assert isinstance(answer, Refusal)
    assert {(p.field, p.code) for p in answer.problems} == {
        (field, RefusalCode.MISSING_FIELD),
        (f"{field}s", RefusalCode.UNKNOWN_FIELD),
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"members": "10"}, "Enter a whole number, such as 10."),
        ({"members": 0}, "Enter 1 or more."),
        ({"region": "US"}, "Enter 'KR'."),
        ({"plan": 7}, "Enter text; quote it if it looks like a number."),
        ({"agreed_terms": "service"}, "Enter a list."),
        ({"agreed_terms": [{"id": "a" * 65, "version": "1"}]}, "Enter 64 or fewer characters."),
        ({"account": "acme"}, "Enter an object of named fields."),
    ],
)
def test_r09_each_problem_states_the_valid_form(change: dict[str, Any], expected: str) -> None:
    answer = read(**change)
    assert isinstance(answer, Refusal)
    assert [problem.message for problem in answer.problems] == [expected]


@pytest.mark.parametrize("body", [None, [], "request", 7, {}, {1: 2}])
def test_r09_non_request_input_is_refused(body: object) -> None:
    answer = parse_request(body, BOOK, on("2027-01-01 09:00"))
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.REQUEST_REFUSED


def test_r09_a_request_before_anything_is_sold_is_refused() -> None:
    answer = read(at="2026-10-31 23:59")
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.NOTHING_ON_SALE


def test_r09_request_uses_the_catalogue_in_force() -> None:
    book = book_of(default_catalogue(), catalogue("2027-07-01", plans={"lite": None}))
    assert isinstance(read(at="2027-06-30 23:59", book=book, plan="lite"), Request)
    assert isinstance(read(at="2027-07-01 00:00", book=book, plan="lite"), Refusal)


@pytest.mark.parametrize("request_id", ["", "a b", "-a", "a\n", "a" * 101, "é", 5])
def test_r09_invalid_request_id(request_id: object) -> None:
    assert [field for field, _ in problems(request_id=request_id)] == ["request_id"]


def test_r09_same_body_is_recognized_with_any_hash_salt() -> None:
    other_salt = f"$argon2id$v=19$m=65536,t=3,p=4$b3RoZXJzYWx0b3RoZXJzYQ${_DIGEST[::-1]}"
    assert accepted().fingerprint() == accepted(password_hash=other_salt).fingerprint()


@pytest.mark.parametrize(
    "change", [{"plan": "lite"}, {"members": 11}, {"account": {"group": "b2"}}, {"admin_id": "kim"}]
)
def test_r09_different_body_is_distinguished(change: dict[str, Any]) -> None:
    assert accepted().fingerprint() != accepted(**change).fingerprint()


@pytest.mark.parametrize(
    "much",
    [{f"f{number}": 1 for number in range(1_001)}, {"agreed_terms": [{"id": "a", "version": "b"}] * 400}],
)
def test_r9_oversized_request_is_not_read_completely(much: dict[str, object]) -> None:
    refused = parse_request(much, BOOK, on("2027-01-01 09:00"))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.message) == (
        RefusalCode.REQUEST_REFUSED,
        "The request has too many values.",
    )
    misread = parse_command("upgrade", much)
    assert isinstance(misread, Refusal)
    assert misread.message == "The argument has too many values."


# -- Unicode normalization ---------------------------------------------------------------------------

# 60 characters; macOS decomposes each Hangul syllable into two or three code points.
NFC_NAME = "주식회사 " + "가나다라마바사아자차카타파하" * 3 + " 서울특별시 지사"
NFD_NAME = unicodedata.normalize("NFD", NFC_NAME)


def test_r8_characters_are_counted_after_normalization() -> None:
    assert len(NFC_NAME) <= 100 < len(NFD_NAME)
    typed = read(company_name=NFD_NAME)
    assert isinstance(typed, Request)
    assert typed.company_name == NFC_NAME
    also = read(company_name=NFC_NAME)
    assert isinstance(also, Request)
    assert typed.fingerprint() == also.fingerprint()


def test_r22_fingerprint_ignores_unicode_composition() -> None:
    by = "관리자"
    commands = [
        parse_command("check_domain", {"by": unicodedata.normalize(form, by)}) for form in ("NFC", "NFD")
    ]
    assert [command.by for command in commands if isinstance(command, Command)] == [by, by]


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
