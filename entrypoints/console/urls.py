"""Safe local redirect targets."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request

LANGUAGE = "language"
"""The parameter with which a form is shown again in another language."""
_STEPS_ON = frozenset({"review", "terms"})
"""The parameters that lead from a form to the page that confirms it."""


def local_path(text: str) -> str:
    """A path of this console; "/" for anything that would lead elsewhere."""
    elsewhere = not text.startswith("/") or text.startswith(("//", "/\\"))
    odd = any(character < "!" or character == "\\" or character > "~" for character in text)
    return "/" if elsewhere or odd else text


def page_of(request: Request) -> str:
    """The page that is asked for; where a form was sent, the page on which it stood."""
    if request.method in ("GET", "HEAD"):
        path, query = request.url.path, request.url.query
    else:
        path, query = _sent_from(request)
    return local_path(f"{path}?{query}" if query else path)


def _sent_from(request: Request) -> tuple[str, str]:
    """Path and query of the page that the Referer names, if it is one of this host."""
    try:
        sent_from = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/", ""
    ours = sent_from.netloc == request.headers.get("host", "")
    return (sent_from.path, sent_from.query) if ours else ("/", "")


def form_of(path: str) -> str:
    """Return the address of the form that leads to this page, with what was chosen in it.

    After a sign-in a form is shown again, and never a page on which one click does what it says.
    """
    return _without(path, _STEPS_ON)


def without_language(path: str) -> str:
    """Return the address without the choice of a language, which a cookie keeps from now on."""
    return _without(path, frozenset({LANGUAGE}))


def _without(path: str, parameters: frozenset[str]) -> str:
    parts = urlsplit(path)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in parameters]
    return parts._replace(query=urlencode(kept)).geturl()
