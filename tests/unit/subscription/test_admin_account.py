"""The administrator's ID and password: R6, R7."""

import pytest
from support.scenario_builder import (
    accepted,
    problems,
    read,
)

from subscription.password_policy import password_problems
from subscription.refusals import Refusal, RefusalCode
from subscription.state import provisioning


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
