"""Subscription requests: R1 to R3, R8, R9."""

import unicodedata
from typing import Any

import pytest
from support.scenario_builder import (
    BOOK,
    ScenarioBuilder,
    accepted,
    book_of,
    catalogue,
    default_catalogue,
    on,
    problems,
    read,
    request_body,
)

from subscription.commands import Command, parse_command
from subscription.phone import phone_as_written
from subscription.refusals import Refusal, RefusalCode
from subscription.request import Request, parse_request, too_many_trials_refusal

TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


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


@pytest.mark.parametrize("members", [1, 1_000])
def test_r02_members_go_up_to_the_cap_of_the_catalogue(members: int) -> None:
    assert problems(members=members) == []


@pytest.mark.parametrize(
    ("trial", "account", "most"),
    [({"max_members": 10}, 100, 10), ({"max_members": 100}, 10, 10), ({"max_members": None}, 100, 100)],
)
def test_r02_the_smaller_limit_of_members_applies(trial: dict[str, Any], account: int, most: int) -> None:
    book = book_of(catalogue(trial=trial, account={"max_members": account}))
    assert isinstance(read(book=book, members=most), Request)
    refused = read(book=book, members=most + 1)
    assert isinstance(refused, Refusal)
    [problem] = refused.problems
    assert (problem.field, problem.code) == ("members", RefusalCode.TOO_MANY_MEMBERS)
    assert problem.message == f"Enter {most} or less."


def test_r02_a_switch_may_exceed_the_members_of_a_trial() -> None:
    subscription = ScenarioBuilder.requested("2027-01-01 09:00", members=1_000)
    subscription.send("switch_to_paid", date="2027-01-01", term="MONTHLY", members=1_001)
    assert subscription.send("upgrade", members=100_000).state.members == 100_000


def test_r02_trials_are_limited_per_customer_where_the_catalogue_does() -> None:
    limited = catalogue(trial={"per_customer": 3})
    assert too_many_trials_refusal(limited, 2) is None
    refused = too_many_trials_refusal(limited, 3)
    assert refused is not None
    assert (refused.code, refused.parameters) == (RefusalCode.TOO_MANY_TRIALS, {"most": 3})
    assert too_many_trials_refusal(catalogue(trial={"per_customer": None}), 1_000) is None


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (0, RefusalCode.INVALID_VALUE),
        (-1, RefusalCode.INVALID_VALUE),
        (1_001, RefusalCode.TOO_MANY_MEMBERS),
        (10**30, RefusalCode.TOO_MANY_MEMBERS),
        ("10", RefusalCode.WRONG_TYPE),
        (10.0, RefusalCode.WRONG_TYPE),
        (True, RefusalCode.WRONG_TYPE),
    ],
)
def test_r02_invalid_members_are_refused(members: object, code: RefusalCode) -> None:
    assert problems(members=members) == [("members", code)]


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


_SALT, _DIGEST = "c2FtcGxlc2FsdHNhbXBsZQ", "c2FtcGxlaGFzaHNhbXBsZWhhc2hzYW1wbGVoYXNoc2E"


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


@pytest.mark.parametrize(
    ("kept", "written"),
    [
        ("+82212345678", "02-1234-5678"),
        ("+821012345678", "010-1234-5678"),
        ("+16502530000", "+1 650-253-0000"),
    ],
)
def test_r08_shown_phone_number_is_stored_unchanged(kept: str, written: str) -> None:
    assert phone_as_written(kept) == written
    assert accepted(company_phone=written).company_phone == kept


@pytest.mark.parametrize("typed", ["", "abc", "112", "+82", "9" * 300])
def test_r08_invalid_phone_number(typed: str) -> None:
    assert problems(company_phone=typed) == [("company_phone", RefusalCode.INVALID_PHONE)]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("it@acme.example", "it@acme.example"),
        ("Kim.Minji+works@ACME.Example", "Kim.Minji+works@acme.example"),
        ("it@한국.kr", "it@xn--3e0b707e.kr"),
        (None, None),
    ],
)
def test_r08_contact_email_is_optional_and_normalized(typed: str | None, kept: str | None) -> None:
    assert accepted(contact_email=typed).contact_email == kept


@pytest.mark.parametrize(
    "typed",
    ["", "acme.example", "it@", "it@acme", "IT <it@acme.example>", "김@acme.example", f"it@{'a.' * 999}kr"],
)
def test_r08_invalid_contact_email(typed: str) -> None:
    assert problems(contact_email=typed) == [("contact_email", RefusalCode.INVALID_EMAIL)]


def test_r09_missing_contact_email_keeps_the_fingerprint() -> None:
    """Fingerprints are stored: a body from before the field existed must have the same one."""
    before = "4fd1187d35254e7a612d585fbbcb50563831398835ece557c4a0c365e09c3ff2"
    assert accepted().fingerprint() == accepted(contact_email=None).fingerprint() == before
    assert accepted(contact_email="it@acme.example").fingerprint() != before


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
