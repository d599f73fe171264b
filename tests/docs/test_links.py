"""Every link target and file name in the documentation exists."""

import re
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

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


def test_link_targets_exist() -> None:
    assert [f"{path.name}: {link}" for path, link in _links() if not _leads_somewhere(path, link)] == []


def _leads_somewhere(path: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = path.parent / name if name else path
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(target: Path) -> Container[str]:
    return anchors(target.read_text(encoding="utf-8"))


def test_files_named_in_pages_exist() -> None:
    named = {
        (path.name, code)
        for path in PAGES
        for code in inline_code(path.read_text(encoding="utf-8"))
        if _FILE.fullmatch(code) and code not in _NOT_HERE
    }
    assert [f"{page}: {name}" for page, name in sorted(named) if not _exists(name)] == []


def _exists(name: str) -> bool:
    """Check a path from the repository root, or a bare file name in any directory."""
    return (ROOT / name).exists() or name in _file_names()


@cache
def _file_names() -> Container[str]:
    directories = (
        *("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints"),
        *("tests", "docs", "docker"),
    )
    return {path.name for directory in directories for path in (ROOT / directory).rglob("*")}


def test_every_page_is_linked_from_another() -> None:
    linked = {(path.parent / link.partition("#")[0]).resolve() for path, link in _links()}
    assert [page.name for page in PAGES if page.parent.name == "docs" and page not in linked] == []
