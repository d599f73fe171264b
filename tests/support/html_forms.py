"""HTML forms, submitted like in a browser without JavaScript."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, object] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of each submit button of the form, in order; the first one is the default."""


class _Forms(HTMLParser):
    """Parser for every form of a page and the values of its fields."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._path = path
        self._select = ""
        self._outside: dict[str, list[tuple[str, str]]] = {}
        """The buttons that precede their form, by the form's ID."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(had.get("action", self._path), had.get("method", "get")))
            self.forms[-1].buttons += self._outside.get(had.get("id", ""), [])
        elif tag == "button" and had.get("type", "submit") == "submit" and "disabled" not in had:
            button = (had.get("name", ""), had.get("value", ""))
            if "form" in had:
                self._outside.setdefault(had["form"], []).append(button)
            elif self.forms:
                self.forms[-1].buttons.append(button)
        elif not self.forms:
            return
        elif tag == "input" and had.get("name"):
            if had.get("type") not in ("radio", "checkbox") or "checked" in had:
                self.forms[-1].fields[had["name"]] = had.get("value", "")
        elif tag == "select":
            self._select = had["name"]
        elif tag == "option" and ("selected" in had or self._select not in self.forms[-1].fields):
            self.forms[-1].fields[self._select] = had["value"]


def forms_of(page: httpx.Response) -> list[Form]:
    reader = _Forms(page.url.path)
    reader.feed(page.text)
    return reader.forms


async def submit(
    browser: httpx.AsyncClient, page: httpx.Response, action: str, *, method: str = "", **typed: object
) -> httpx.Response:
    """Submit the form whose address ends in `action`, with some fields replaced.

    `method` distinguishes two forms of one address. The default button is pressed, as with Enter, or the
    button whose name is among the fields.
    """
    forms = forms_of(page)
    for form in forms:
        if form.action.endswith(action) and method in ("", form.method):
            pressed = form.buttons[:1] if not typed.keys() & {name for name, _ in form.buttons} else []
            fields = {**form.fields, **{name: value for name, value in pressed if name}, **typed}
            if form.method == "post":
                origin = f"{page.url.scheme}://{page.url.host}:{page.url.port}"
                sent_from = {"origin": origin, "referer": str(page.url)}
                return await browser.post(form.action, data=fields, headers=sent_from)
            return await browser.get(form.action, params=fields)  # type: ignore[arg-type]
    raise AssertionError(f"{page.url} has no form for {action}: {[form.action for form in forms]}")


async def sign_in(browser: httpx.AsyncClient, customer_id: str) -> None:
    """Sign in as this customer, or as an operator if it is empty."""
    page = await browser.get("/sign-in")
    who = {"customer_id": customer_id, "as": "customer"} if customer_id else {"as": "operator"}
    arrived = await submit(browser, page, "/sign-in/developer", **who)
    assert arrived.status_code == 200, arrived.text
