"""What the console says: all of it in Korean too, and every refusal and event in words."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from starter.console import refusals
from starter.console.languages import Words, language_of
from starter.invoice_page import Language
from subscription.passwords import password_problems
from subscription.refusals import Code, Refused

CONSOLE = Path(refusals.__file__).parent
_PLACES = re.compile(r"%\((\w+)\)s")


def _said() -> set[str]:
    found = extract_from_dir(
        CONSOLE,
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        options_map={"**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "say": None, "say_n": (1, 2), "N_": None},
    )
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def test_everything_is_said_in_korean_and_nothing_else_is_kept() -> None:
    with (CONSOLE / "locale" / "ko.po").open("rb") as file:
        catalogue = read_po(file)
    kept = {}
    for entry in catalogue:
        if entry.id:
            key = entry.id if isinstance(entry.id, str) else entry.id[0]
            kept[key] = entry.string if isinstance(entry.string, str) else (entry.string or ("",))[0]
            assert not entry.fuzzy, key
    assert kept.keys() == _said()
    for message, korean in kept.items():
        assert korean, message
        assert set(_PLACES.findall(korean)) <= set(_PLACES.findall(message)), message
        assert set(_PLACES.findall(message)) - {"n"} <= set(_PLACES.findall(korean)), message


@pytest.mark.parametrize("code", Code)
def test_every_refusal_can_be_read_in_korean(code: Code) -> None:
    said = refusals.refusal_words(Refused(code=code, message="The rules say 2027-01-01."), Words(Language.KO))
    assert re.search("[가-힣]", said), said
    assert "%(" not in said


def test_the_dates_of_a_refusal_are_in_its_korean_words() -> None:
    refused = Refused(code=Code.DATE_TOO_LATE, message="The latest possible date is 2027-12-05.")
    assert (
        refusals.refusal_words(refused, Words(Language.KO))
        == "선택할 수 있는 마지막 날짜는 2027-12-05입니다."
    )
    assert refusals.refusal_words(refused, Words(Language.EN)) == refused.message


def test_each_rule_of_a_password_is_said_in_korean() -> None:
    broken = {problem.message for word in ("", "abcabc", "aaa ", "가") for problem in password_problems(word)}
    assert broken == set(refusals.PASSWORD_RULES)
    assert all(Words(Language.KO).has(rule) for rule in broken)


def test_the_language_is_what_was_chosen_or_what_the_browser_asks_for() -> None:
    assert language_of("en", "ko") is Language.EN
    assert language_of(None, "fr, en-US;q=0.8, ko;q=0.5") is Language.EN
    assert language_of("xx", "ko-KR,ko;q=0.9,en;q=0.8") is Language.KO
    assert language_of(None, "de, en;q=0") is Language.KO
    assert language_of(None, "") is Language.KO


def test_money_and_dates_are_written_as_the_language_writes_them() -> None:
    korean, english = Words(Language.KO), Words(Language.EN)
    assert (korean.won(36000), english.won(36000)) == ("36,000원", "₩36,000")
    assert (korean.members(1), english.members(1), english.members(20)) == (
        "구성원 1명",
        "1 member",
        "20 members",
    )
