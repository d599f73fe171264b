"""Safe local redirect targets (protection against open redirects)."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request

LANGUAGE = "language"
"""Query parameter and form field that choose the language."""
_REVIEW_PARAMETERS = frozenset({"review", "terms"})
"""Query parameters that lead from a form to its confirmation page."""


def local_path(text: str) -> str:
    """Return the text if it is a path of this console, else "/", to prevent an open redirect."""
    external = not text.startswith("/") or text.startswith(("//", "/\\"))
    unsafe = any(character < "!" or character == "\\" or character > "~" for character in text)
    return "/" if external or unsafe else text


def page_of(request: Request) -> str:
    """Return the path of the page; for a submitted form, that of the page that contained the form."""
    if request.method in ("GET", "HEAD"):
        path, query = request.url.path, request.url.query
    else:
        path, query = _referring_page(request)
    return local_path(f"{path}?{query}" if query else path)


def _referring_page(request: Request) -> tuple[str, str]:
    """Return path and query of the Referer header if it has this host, else those of "/"."""
    try:
        referer = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/", ""
    same_host = referer.netloc == request.headers.get("host", "")
    return (referer.path, referer.query) if same_host else ("/", "")


def form_of(path: str) -> str:
    """Return the URL of the form that leads to this page, with the entered values.

    A sign-in returns to the form, and never to a confirmation page, where one click executes a command.
    """
    return _without(path, _REVIEW_PARAMETERS)


def without_language(path: str) -> str:
    """Return the URL without the language parameter; the language is stored in a cookie."""
    return _without(path, frozenset({LANGUAGE}))


def _without(path: str, parameters: frozenset[str]) -> str:
    parts = urlsplit(path)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in parameters]
    return parts._replace(query=urlencode(kept)).geturl()
