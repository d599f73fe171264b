"""Every link target and file name in the documentation exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.markdown_pages import PAGES, ROOT, anchors, inline_code, links

_FILE = re.compile(r"[\w.-]+(/[\w.-]+)*(\.(py|md|sql|toml|txt|yml|yaml|sh)|/)|Makefile|Dockerfile")

# Files that exist elsewhere, or that the reader creates.
_NOT_HERE = {
    ".env",
    ".venv",
    ".worksub/",
    ".worksub/temporal.toml",
    "encryption-keys",
    "temporal.toml",
    "password.txt",
    "scenario.yaml",
    "first.yaml",
    "second.yaml",
}


def _links() -> Iterator[tuple[Path, str]]:
    for path in PAGES:
        for link in links(path.read_text(encoding="utf-8")):
            if not link.startswith(("https://", "http://")):
                yield path, link


@pytest.mark.parametrize(
    ("path", "link"), [pytest.param(*each, id=f"{each[0].name}: {each[1]}") for each in _links()]
)
def test_link_target_exists(path: Path, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = path.parent / name if name else path
    assert target.exists()
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_named_in_pages_exist(path: Path) -> None:
    named = {code for code in inline_code(path.read_text(encoding="utf-8")) if _FILE.fullmatch(code)}
    assert [name for name in sorted(named - _NOT_HERE) if not _exists(name)] == []


def _exists(name: str) -> bool:
    """Check a path from the repository root, or a bare file name in any directory."""
    return (ROOT / name).exists() or ("/" not in name and any(_tracked(name)))


def _tracked(name: str) -> Iterator[Path]:
    for room in (
        *("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints"),
        *("tests", "docs", "docker"),
    ):
        yield from (ROOT / room).rglob(name)


def test_every_page_is_linked_from_another() -> None:
    linked = {(path.parent / link.partition("#")[0]).resolve() for path, link in _links()}
    assert [page.name for page in PAGES if page.parent.name == "docs" and page not in linked] == []
