"""Language selection from the cookie and the Accept-Language header."""

from adapters.translation import Language
from entrypoints.console.language import language_of


def test_language_is_chosen_or_from_accept_language() -> None:
    assert language_of("en", "ko") is Language.EN
    assert language_of(None, "fr, en-US;q=0.8, ko;q=0.5") is Language.EN
    assert language_of("xx", "ko-KR,ko;q=0.9,en;q=0.8") is Language.KO
    assert language_of(None, "de, en;q=0") is Language.KO
    assert language_of(None, "") is Language.KO
