"""Translations: the Korean catalogue has each text of the product, and formats follow the language."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import adapters
from adapters.translation import Language, Translator
from subscription import event_messages, labels, record_labels
from subscription.business_calendar import KST
from subscription.catalogue import LocalizedTitle, Term
from subscription.explain import PRICE_REASONS
from subscription.messages import KINDS, Kind, places_in
from subscription.password_policy import password_problems
from subscription.refusals import SENTENCES, Problem, Refusal, RefusalCode, format_refusals
from unit.subscription.test_refusals import SAMPLES

_ROOT = Path(adapters.__file__).parents[1]
_TABLES = (
    SENTENCES,
    event_messages.SENTENCES,
    labels.DEADLINES,
    labels.RESERVATIONS,
    labels.RENEWAL_OPTIONS,
    record_labels.LINE_KINDS,
    record_labels.ADJUSTMENT_REASONS,
    record_labels.CHANNELS,
    PRICE_REASONS,
)
"""The message templates of the domain."""

_TEMPLATES = "**/templates/**"

_REPLACED_ENGLISH = (
    "The life of this subscription",
    "The picture in words",
    "If nothing is changed",
    "Nothing any more",
    "This will happen",
    "What it costs",
    "Leaving ",
    "cost of leaving",
    "a member a month",
    "See what it costs",
    "Work out",
    "Total up to the end",
    "cannot be brought back",
    "present contract",
    "as it is at that time",
    "goes by its new name",
    "Prove that",
    "How to prove",
    "Last looked at",
    "looking goes on",
    "Was not the same both times",
    "Is taken; choose",
    "Nothing exists yet",
    "can be turned back",
    "To the subscription",
    "Please look at this again",
    "Not reachable at the moment",
    "There is no such page",
    "what you sent was not done",
    "is not on an invoice yet",
    "The NAVER WORKS subscriptions of",
    "Letters",
    "Proofs of domains",
)
_REPLACED_KOREAN = (
    "구독의 흐름",
    "글로 보기",
    "이렇게 됩니다",
    "더 이상 없습니다",
    "아직 아무것도 만들어지지",
    "그때의 요금제",
    "지금의 계약",
    "지금의 이름",
    "그만두기",
    "계산하기",
    "종료까지 합계",
    "이름을 확보했습니다",
    "이름의 종류",
    "시험용 시계",
    "무언가를 보냈다면",
    "이력에 있던 이름",
    "옆의 규칙",
    "회사 전화번호",
    "세요.",
)


def _message_ids() -> set[str]:
    """Return the English texts of pages, emails and invoices, and the message templates of the domain."""
    found = [
        _first(message)
        for package in ("adapters", "entrypoints")
        for _, _, message, _, _ in extract_from_dir(
            _ROOT / package,
            method_map=[("**.py", "python"), (_TEMPLATES, "jinja2")],
            options_map={_TEMPLATES: {"trim_blocks": "true", "lstrip_blocks": "true"}},
            keywords={"_": None, "gettext": None, "ngettext": (1, 2), "N_": None},
        )
    ]
    return set(found).union(*(table.values() for table in _TABLES))


def _korean_catalogue() -> dict[str, str]:
    with (_ROOT / "adapters" / "locale" / "ko.po").open("rb") as file:
        entries = [entry for entry in read_po(file) if entry.id]
    assert not any(entry.fuzzy for entry in entries)
    return {_first(entry.id): _first(entry.string) for entry in entries}


def _first(text: str | Sequence[str] | None) -> str:
    return text if isinstance(text, str) else (text or ("",))[0]


def test_korean_catalogue_is_complete_without_unused_entries() -> None:
    korean = _korean_catalogue()
    assert korean.keys() == _message_ids()
    for message, text in korean.items():
        assert text, message
        places = places_in(message)
        assert places - {"n"} <= places_in(text) <= places, message


def test_no_text_returns_to_a_replaced_wording() -> None:
    """The product has one vocabulary: these phrases gave way to the terms of the guide or to plain words."""
    texts = _korean_catalogue()
    for replaced, found in ((_REPLACED_ENGLISH, texts), (_REPLACED_KOREAN, texts.values())):
        assert [text for text in found for phrase in replaced if phrase in text] == []


def test_korean_particles_follow_only_fixed_sounds() -> None:
    """A particle depends on the sound before it: amounts end in 원, dates in 일, but names in any sound."""
    fixed = {Kind.KRW, Kind.DAY, Kind.END_DAY, Kind.MEMBERS, Kind.TERM, Kind.A_TERM}
    amounts_of_pages = {"amount", "penalty"}
    for text in _korean_catalogue().values():
        assert not re.search(r"[은을이와과]\([는를가과와]\)|\(으\)로", text), text
        for name in re.findall(r"%\((\w+)\)s(?:[은는이가을를과와]|으로|로)(?![가-힣])", text):
            assert KINDS.get(name) in fixed or name in amounts_of_pages, text


@pytest.mark.parametrize("language", Language)
def test_every_refusal_is_formatted_from_its_parameters(language: Language) -> None:
    for key, sentence in SENTENCES.items():
        code, _, reason = key.partition(".")
        values: dict[str, Any] = {name: SAMPLES[KINDS[name]] for name in places_in(sentence)}
        refused = Refusal.of(RefusalCode(code), reason=reason or None, **values)
        text = refused.format(Translator(language))
        assert "%(" not in text, key
        assert bool(re.search("[가-힣]", text)) == (language is Language.KO), key
        # The English `message` serves other clients; the translation does not use it.
        unread = refused.model_copy(update={"message": "2027-01-01 1,000 KRW"})
        assert unread.format(Translator(language)) == text, key


def test_refusal_with_an_unknown_code_keeps_its_message() -> None:
    newer = Problem(code="OF_A_NEWER_RELEASE", message="Not possible.")
    assert newer.format(Translator(Language.KO)) == "Not possible."


def test_refusal_dates_use_the_language_format() -> None:
    refused = Refusal.of(RefusalCode.DATE_TOO_LATE, "date", latest=date(2027, 12, 5))
    assert refused.message == "The latest possible date is 2027-12-05."
    assert refused.format(Translator(Language.KO)) == "선택할 수 있는 마지막 날짜는 2027. 12. 5.입니다."
    assert refused.format(Translator(Language.EN)) == "The latest possible date is Dec 5, 2027."


def test_terms_of_service_are_named_by_their_titles() -> None:
    refused = Refusal.of(
        RefusalCode.TERMS_NOT_AGREED, reason="MISSING", terms=("service/2026-01", "extra/2026-02")
    )
    titled = Term(
        id="service",
        version="2026-01",
        required=True,
        title=LocalizedTitle(en="Terms of Service", ko="서비스 이용약관"),
    )
    assert refused.format(Translator(Language.EN).with_term_titles([titled])) == (
        "Agree to Terms of Service (2026-01), extra (2026-02) to continue."
    )
    assert "서비스 이용약관 (2026-01)" in refused.format(Translator(Language.KO).with_term_titles([titled]))


def test_allowed_from_time_is_rounded_up_to_the_minute() -> None:
    refused = Refusal.of(
        RefusalCode.RENAMED_TOO_RECENTLY, free_at=datetime(2027, 1, 31, 10, 20, 1, tzinfo=KST)
    )
    assert refused.message.endswith("from 2027-01-31 10:20:01 KST.")
    assert refused.format(Translator(Language.EN)).endswith("from Jan 31, 2027, 10:21.")


def test_refusal_lists_each_problem_once() -> None:
    problems = (Problem.of(RefusalCode.MISSING_FIELD, "plan"), Problem.of(RefusalCode.MISSING_FIELD, "term"))
    refused = Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems)
    assert refused.message == "plan: This field is required. term: This field is required."
    assert format_refusals((refused, *problems), Translator(Language.EN)) == (
        "The input is not valid. This field is required."
    )


def test_each_password_rule_has_its_own_message() -> None:
    broken = {
        problem.key: problem for word in ("", "abcabc", "aaa ", "가") for problem in password_problems(word)
    }
    assert broken.keys() == {key for key in SENTENCES if key.startswith("INVALID_PASSWORD.")}
    for language in Language:
        texts = {problem.format(Translator(language)) for problem in broken.values()}
        assert len(texts) == len(broken) == 7


def test_money_and_dates_use_the_language_format() -> None:
    korean, english = Translator(Language.KO), Translator(Language.EN)
    assert (korean.krw(36000), english.krw(36000)) == ("36,000원", "₩36,000")
    assert (korean.members(1), english.members(1), english.members(20)) == (
        "구성원 1명",
        "1 member",
        "20 members",
    )
