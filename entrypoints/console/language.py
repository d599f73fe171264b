"""Language selection: cookie and Accept-Language header."""

from adapters.translation import Language

COOKIE = "language"


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
