"""Languages of customer pages, and their date formats."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from babel import Locale
from babel.dates import format_date, format_skeleton


class Language(StrEnum):
    KO = "ko"
    EN = "en"


LOCALES: Mapping[Language, Locale] = {Language.KO: Locale("ko", "KR"), Language.EN: Locale("en", "US")}
_DAY = {Language.KO: "y년 M월 d일", Language.EN: "d MMM y"}


def written_day(day: date, language: Language) -> str:
    return format_date(day, _DAY[language], locale=LOCALES[language])


def written_month(day: date, language: Language) -> str:
    return format_skeleton("yMMMM", day, locale=LOCALES[language])
