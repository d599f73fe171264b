"""Addresses of this console's own pages, as far as a browser may be sent there."""

from urllib.parse import urlsplit

from starlette.requests import Request


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
