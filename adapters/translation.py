"""Translations and Babel formats for all texts that customers read: pages, emails and invoices.

There is one gettext domain. The English texts are the msgids; `locale/ko.po` has the Korean ones.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal
from babel.support import NullTranslations, Translations
from jinja2 import Environment, PackageLoader, StrictUndefined

from subscription.business_calendar import KST, day_of, start_of
from subscription.catalogue import LocalizedList, LocalizedText, LocalizedTitle, Term
from subscription.contract import ContractTerm
from subscription.messages import Message, format_message


class Language(StrEnum):
    KO = "ko"
    EN = "en"


_LOCALES: Mapping[Language, Locale] = {Language.KO: Locale("ko", "KR"), Language.EN: Locale("en", "US")}
_DAY = {Language.KO: "y. M. d.", Language.EN: "MMM d, y"}
_MOMENT = {Language.KO: "y. M. d. HH:mm", Language.EN: "MMM d, y, HH:mm"}
_LONG_DAY = {Language.KO: "y. M. d.(EEE)", Language.EN: "EEEE, MMMM d, y"}
_LONG_MOMENT = {
    Language.KO: "y. M. d.(EEE) HH:mm",
    Language.EN: "EEEE, MMMM d, y 'at' HH:mm 'Korean time'",
}
_KRW = {Language.KO: "#,##0원", Language.EN: "¤#,##0"}


@cache
def _translations(language: Language) -> NullTranslations:
    """Return the gettext translations of a language; English texts are the msgids and need none."""
    if language is Language.EN:
        return NullTranslations()
    compiled = io.BytesIO()
    with resources.files("adapters").joinpath("locale", f"{language}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language.value))
    compiled.seek(0)
    return Translations(compiled)


def template_environment(package: str, language: Language, **options: Any) -> Environment:
    """Return the Jinja environment of a package's templates, with gettext in one language."""
    environment = Environment(  # nosec B701  # plain-text emails disable autoescape
        loader=PackageLoader(package), undefined=StrictUndefined, extensions=["jinja2.ext.i18n"], **options
    )
    environment.install_gettext_translations(_translations(language), newstyle=True)  # type: ignore[attr-defined]
    return environment


class Translator:
    """The translations and formats of one language: a `Formatter` of messages."""

    def __init__(
        self,
        language: Language,
        plan_titles: Mapping[str, str] | None = None,
        term_titles: Mapping[str, str] | None = None,
    ) -> None:
        self.language = language
        self._translations = _translations(language)
        self._locale = _LOCALES[language]
        self._plan_titles = plan_titles or {}
        self._term_titles = term_titles or {}

    def gettext(self, message: str, /, **values: object) -> str:
        """Return the translation of a text. Without values, the caller fills in the parameters."""
        text = self._translations.gettext(message)
        return text % values if values else text

    def ngettext(self, one: str, many: str, n: int, /, **values: object) -> str:
        return self._translations.ngettext(one, many, n) % {"n": self.number(n), **values}

    def message(self, message: Message) -> str:
        return format_message(message, self)

    def day(self, day: date) -> str:
        """Return a formatted date; for a time, its date in Korea Standard Time."""
        return self._date(day, _DAY)

    def long_day(self, day: date) -> str:
        """Return a formatted date with its weekday."""
        return self._date(day, _LONG_DAY)

    def long_end_day(self, day: date) -> str:
        return self.long_day(day - timedelta(days=1))

    def month(self, day: date) -> str:
        return format_skeleton("yMMMM", day, locale=self._locale)

    def short_month(self, day: date) -> str:
        return format_skeleton("yMMM", day, locale=self._locale)

    def axis_month(self, day: date) -> str:
        """Return the label of a month on an axis: the year in January, else the abbreviated month."""
        return format_skeleton("y" if day.month == 1 else "MMM", day, locale=self._locale)

    def moment(self, at: datetime) -> str:
        """Return a formatted date and time in Korea Standard Time, to the minute."""
        return self._time(at, _MOMENT)

    def due(self, at: datetime) -> str:
        """Return a formatted date, with its time unless that is the start of the day."""
        return self.day(at) if at == start_of(day_of(at)) else self.moment(at)

    def long_moment(self, at: datetime) -> str:
        """Return a formatted date and time in Korea Standard Time, with the weekday."""
        return self._time(at, _LONG_MOMENT)

    def end_day(self, day: date) -> str:
        """Return the formatted last day of a period that ends at the start of `day`."""
        return self.day(day - timedelta(days=1))

    def not_before(self, at: datetime) -> str:
        """Return a formatted time, rounded up to the minute."""
        return self.moment(at + timedelta(minutes=1, microseconds=-1))

    def number(self, number: int) -> str:
        return format_decimal(number, locale=self._locale)

    def krw(self, amount: int) -> str:
        return format_currency(amount, "KRW", _KRW[self.language], locale=self._locale)

    def members(self, members: int) -> str:
        return self.ngettext("%(n)s member", "%(n)s members", members)

    def plan(self, plan: str) -> str:
        """Return the title of a plan if it is known, else the plan's ID."""
        return self._plan_titles.get(plan, plan)

    def term(self, term: str) -> str:
        return (
            self.gettext("annual contract")
            if term == ContractTerm.ANNUAL
            else self.gettext("monthly contract")
        )

    def a_term(self, term: str) -> str:
        return (
            self.gettext("an annual contract")
            if term == ContractTerm.ANNUAL
            else self.gettext("a monthly contract")
        )

    def command(self, command: str) -> str:
        return {
            "switch_to_paid": self.gettext("The switch to a paid plan"),
            "change_renewal_option": self.gettext("The change of the renewal option"),
            "upgrade": self.gettext("The upgrade"),
            "cancel": self.gettext("The cancellation"),
            "withdraw_reservation": self.gettext("The withdrawal of the reservation"),
            "rename_account": self.gettext("The change of name"),
            "check_domain": self.gettext("The check of the domain"),
        }.get(command, self.gettext("A command"))

    def terms(self, terms: Sequence[str]) -> str:
        return ", ".join(self._term(*term.split("/", 1)) for term in terms)

    def _term(self, term_id: str, version: str) -> str:
        return f"{self.term_title(term_id)} ({version})"

    def term_title(self, term_id: str) -> str:
        """Return the title of terms of service if it is known, else their ID."""
        return self._term_titles.get(term_id, term_id)

    def with_term_titles(self, terms: Iterable[Term]) -> "Translator":
        """Return a translator that knows the titles of these terms of service."""
        titles = {term.id: self.localized(term.title) for term in terms if term.title}
        return Translator(self.language, self._plan_titles, titles)

    def localized(self, text: LocalizedTitle | LocalizedText) -> str:
        """Return a text of the catalogue in this language."""
        return text.ko if self.language is Language.KO else text.en

    def localized_list(self, entries: LocalizedList) -> Sequence[str]:
        """Return a list of the catalogue in this language."""
        return entries.ko if self.language is Language.KO else entries.en

    def _date(self, day: date, patterns: Mapping[Language, str]) -> str:
        korean = day_of(day) if isinstance(day, datetime) else day
        return format_date(korean, patterns[self.language], locale=self._locale)

    def _time(self, at: datetime, patterns: Mapping[Language, str]) -> str:
        return format_datetime(at.astimezone(KST), patterns[self.language], locale=self._locale)
