"""Translations of the console: a complete Korean catalogue, and a message for each refusal and event."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from unit.subscription.test_refusals import SAMPLES

from adapters.language import Language
from entrypoints.console import refusal_messages
from entrypoints.console.i18n import Translator, language_of
from subscription import event_messages
from subscription.business_calendar import KST
from subscription.messages import KINDS, places_in
from subscription.password_policy import password_problems
from subscription.refusals import SENTENCES, Problem, Refusal, RefusalCode

CONSOLE = Path(refusal_messages.__file__).parent
_PLACES = re.compile(r"%\((\w+)\)s")


def _message_ids() -> set[str]:
    found = extract_from_dir(
        CONSOLE,
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        options_map={"**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "say": None, "say_n": (1, 2), "N_": None},
    )
    texts = {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}
    return texts | set(event_messages.SENTENCES.values())


def test_korean_catalogue_is_complete_without_obsolete_entries() -> None:
    with (CONSOLE / "locale" / "ko.po").open("rb") as file:
        catalogue = read_po(file)
    kept = {}
    for entry in catalogue:
        if entry.id:
            key = entry.id if isinstance(entry.id, str) else entry.id[0]
            kept[key] = entry.string if isinstance(entry.string, str) else (entry.string or ("",))[0]
            assert not entry.fuzzy, key
    assert kept.keys() == _message_ids()
    for message, korean in kept.items():
        assert korean, message
        assert set(_PLACES.findall(korean)) <= set(_PLACES.findall(message)), message
        assert set(_PLACES.findall(message)) - {"n"} <= set(_PLACES.findall(korean)), message


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("key", SENTENCES)
def test_every_refusal_is_formatted_from_its_parameters(key: str, language: Language) -> None:
    code, _, reason = key.partition(".")
    template = refusal_messages.template_of(code, reason)
    assert template is not None
    left_out = (
        places_in(SENTENCES[key]) if code in refusal_messages.FOR_OPERATORS else refusal_messages.LEFT_OUT
    )
    assert places_in(template) == places_in(SENTENCES[key]) - left_out
    values: dict[str, Any] = {name: SAMPLES[KINDS[name]] for name in places_in(SENTENCES[key])}
    refused = Refusal.of(RefusalCode(code), reason=reason or None, **values)
    texts = refusal_messages.refusal_words(refused, Translator(language))
    assert "%(" not in texts
    assert bool(re.search("[가-힣]", texts)) == (language is Language.KO), texts
    # The English `message` serves other clients; the translation does not use it.
    unread = refused.model_copy(update={"message": "2027-01-01 1,000 KRW"})
    assert refusal_messages.refusal_words(unread, Translator(language)) == texts


def test_refusal_dates_use_the_language_format() -> None:
    refused = Refusal.of(RefusalCode.DATE_TOO_LATE, "date", latest=date(2027, 12, 5))
    assert refused.message == "The latest possible date is 2027-12-05."
    assert refusal_messages.refusal_words(refused, Translator(Language.KO)) == (
        "선택할 수 있는 마지막 날짜는 2027년 12월 5일입니다."
    )
    assert refusal_messages.refusal_words(refused, Translator(Language.EN)) == (
        "The latest possible date is 5 Dec 2027."
    )


def test_allowed_from_time_is_rounded_up_to_the_minute() -> None:
    refused = Refusal.of(
        RefusalCode.RENAMED_TOO_RECENTLY, free_at=datetime(2027, 1, 31, 10, 20, 1, tzinfo=KST)
    )
    assert refused.message.endswith("from 2027-01-31 10:20:01 KST.")
    assert refusal_messages.refusal_words(refused, Translator(Language.EN)).endswith(
        "from 31 Jan 2027, 10:21."
    )


def test_refusal_lists_each_problem_once() -> None:
    problems = (Problem.of(RefusalCode.MISSING_FIELD, "plan"), Problem.of(RefusalCode.MISSING_FIELD, "term"))
    refused = Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems, whole="the argument")
    assert refused.message == "plan is missing; term is missing."
    assert refusal_messages.refusal_words(refused, Translator(Language.EN)) == (
        "Something that was entered cannot be read. This is missing."
    )


def test_each_password_rule_has_its_own_message() -> None:
    broken = {
        problem.key: problem for word in ("", "abcabc", "aaa ", "가") for problem in password_problems(word)
    }
    assert broken.keys() == {key for key in SENTENCES if key.startswith("INVALID_PASSWORD.")}
    for language in Language:
        texts = {refusal_messages.refusal_words(problem, Translator(language)) for problem in broken.values()}
        assert len(texts) == len(broken) == 7


def test_language_is_chosen_or_from_accept_language() -> None:
    assert language_of("en", "ko") is Language.EN
    assert language_of(None, "fr, en-US;q=0.8, ko;q=0.5") is Language.EN
    assert language_of("xx", "ko-KR,ko;q=0.9,en;q=0.8") is Language.KO
    assert language_of(None, "de, en;q=0") is Language.KO
    assert language_of(None, "") is Language.KO


def test_money_and_dates_use_the_language_format() -> None:
    korean, english = Translator(Language.KO), Translator(Language.EN)
    assert (korean.won(36000), english.won(36000)) == ("36,000원", "₩36,000")
    assert (korean.members(1), english.members(1), english.members(20)) == (
        "구성원 1명",
        "1 member",
        "20 members",
    )
