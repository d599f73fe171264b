"""A browser user with one language, who finds elements by their names; each page must be accessible."""

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Locator, Page

from adapters.translation import Translator

_axe = Axe()

_CROSSING_LABELS = """() => {
  const labels = [...document.querySelectorAll("svg.life text")].filter((one) => one.getClientRects().length);
  const crosses = (one, other) => one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom;
  return labels.filter((label, at) => {
    const box = label.getBoundingClientRect(), card = label.closest(".card").getBoundingClientRect();
    return box.left < card.left || box.right > card.right
      || labels.slice(at + 1).some((other) => crosses(box, other.getBoundingClientRect()));
  }).map((label) => label.textContent);
}"""
"""Labels of the lifecycle chart that cross another label or the edge of the card."""


class BrowserUser:
    def __init__(self, page: Page, url: str, translator: Translator, *, scripts: bool) -> None:
        self.page = page
        self.url = url
        self.gettext = translator.gettext
        self.translator = translator
        self.scripts = scripts

    async def goes_to(self, path: str) -> None:
        await self.page.goto(self.url + path)
        await self.looks()

    async def clicks(self, name: str, kind: str = "button", **values: object) -> None:
        """Click a button or link by its English name."""
        await self.named(name, kind, **values).first.click()
        await self.page.wait_for_load_state()
        await self.looks()

    def named(self, name: str, kind: str = "button", **values: object) -> Locator:
        main, text = self.page.locator("main"), self.gettext(name, **values)
        return (
            main.get_by_role("link", name=text, exact=True)
            if kind == "link"
            else main.get_by_role("button", name=text, exact=True)
        )

    async def types(self, **fields: str) -> None:
        for name, value in fields.items():
            await self.page.locator(f"#{name}").fill(value)

    async def sees(self, message: str, **values: object) -> None:
        await self.page.get_by_text(self.gettext(message, **values)).first.wait_for()

    async def is_told_what_is_wrong(self, *fields: str) -> None:
        """Check that errors are announced and associated with their fields."""
        await self.page.get_by_role("alert").wait_for()
        for name in fields:
            field = self.page.locator(f"#{name}")
            assert await field.get_attribute("aria-invalid") == "true"
            described = await field.get_attribute("aria-describedby") or ""
            assert f"{name}-error" in described.split()
            assert await self.page.locator(f"#{name}-error").inner_text()

    async def looks(self) -> None:
        """Check that the page is complete, in the user's language, as wide as the window, and accessible."""
        assert await self.page.locator("html").get_attribute("lang") == self.translator.language
        if not self.scripts:
            return
        assert not await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        ), f"{self.page.url} is wider than the window"
        assert await self.page.evaluate(_CROSSING_LABELS) == []
        found = await _axe.run(self.page, options={"resultTypes": ["violations"]})
        serious = [
            (violation["id"], [node["target"] for node in violation["nodes"]])
            for violation in found.response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{self.page.url}: {serious}"
