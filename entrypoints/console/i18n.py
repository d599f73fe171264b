"""Language selection, translations, and date and number formats."""

import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from importlib import resources

from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from adapters.language import LOCALES, Language, written_day, written_month
from subscription.business_calendar import KST, day_of
from subscription.contract import ContractTerm

COOKIE = "language"
_MOMENT = {Language.KO: "y년 M월 d일 HH:mm", Language.EN: "d MMM y, HH:mm"}


def language_of(cookie: str | None, accept_language: str) -> Language:
    """Return the language of the cookie, else the best supported one of Accept-Language, else Korean."""
    if cookie in tuple(Language):
        return Language(cookie)
    for tag in _by_preference(accept_language):
        if tag in tuple(Language):
            return Language(tag)
    return Language.KO


def _by_preference(accept_language: str) -> list[str]:
    """Return the primary subtags of an Accept-Language header, in the order of preference."""
    weighted = []
    for position, part in enumerate(accept_language[:500].split(",")):
        tag, _, parameter = part.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0
        if quality > 0:
            weighted.append((-quality, position, tag.partition("-")[0].lower()))
    return [tag for _, _, tag in sorted(weighted)]


@cache
def catalogue_of(language: Language) -> NullTranslations:
    """Return the gettext catalogue of a language; English messages are the msgids and need none."""
    if language is Language.EN:
        return NullTranslations()
    file = resources.files("entrypoints.console").joinpath("locale", f"{language}.po")
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language.value))
    compiled.seek(0)
    return Translations(compiled)


class Translator:
    """Translator to one language. `say` looks up an English message in the gettext catalogue."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._catalogue = catalogue_of(language)
        self._locale = LOCALES[language]

    def say(self, message: str, /, **values: object) -> str:
        return self._catalogue.gettext(message) % values

    def say_n(self, one: str, many: str, n: int, /, **values: object) -> str:
        return self._catalogue.ngettext(one, many, n) % {"n": self.number(n), **values}

    def translated(self, template: str) -> str:
        """Return the translation of a template; its parameters are filled in by the caller."""
        return self._catalogue.gettext(template)

    def day(self, day: date) -> str:
        """Return a formatted date; for a time, its date in Korea Standard Time."""
        korean = day_of(day) if isinstance(day, datetime) else day
        return written_day(korean, self.language)

    def month(self, day: date) -> str:
        return written_month(day, self.language)

    def moment(self, at: datetime) -> str:
        """Return a formatted date and time in Korea Standard Time, to the minute."""
        return format_datetime(at.astimezone(KST), _MOMENT[self.language], locale=self._locale)

    def end_day(self, day: date) -> str:
        """Return the formatted last day of a period that ends at the start of `day`."""
        return self.day(day - timedelta(days=1))

    def not_before(self, at: datetime) -> str:
        """Return a formatted time, rounded up to the minute."""
        return self.moment(at + timedelta(minutes=1, microseconds=-1))

    def number(self, number: int) -> str:
        return format_decimal(number, locale=self._locale)

    def won(self, amount: int) -> str:
        if self.language is Language.KO:
            return f"{self.number(amount)}원"
        return f"{'-' if amount < 0 else ''}₩{self.number(abs(amount))}"

    def members(self, members: int) -> str:
        return self.say_n("%(n)s member", "%(n)s members", members)

    def plan(self, plan: str) -> str:
        return plan

    def term(self, term: str) -> str:
        return self.say("annual contract") if term == ContractTerm.ANNUAL else self.say("monthly contract")

    def a_term(self, term: str) -> str:
        return (
            self.say("an annual contract") if term == ContractTerm.ANNUAL else self.say("a monthly contract")
        )

    def command(self, command: str) -> str:
        return {
            "switch_to_paid": self.say("The switch to a paid plan"),
            "change_renewal_option": self.say("The change of the renewal option"),
            "upgrade": self.say("The upgrade"),
            "cancel": self.say("The cancellation"),
            "withdraw_reservation": self.say("The withdrawal of the reservation"),
            "rename_account": self.say("The change of name"),
            "check_domain": self.say("The check of the domain"),
        }.get(command, self.say("A command"))

    def terms(self, terms: Sequence[str]) -> str:
        return ", ".join(terms)
