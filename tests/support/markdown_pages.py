"""The documentation as data: its pages, and their code blocks, tables, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\|(.+)\|\n\|[-:| ]+\|\n((?:\|.*\|\n?)+)", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; `language` is the word after the fence."""

    language: str
    text: str
    position: int


@dataclass(frozen=True)
class Table:
    """A table; its cells have no backticks."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    position: int

    def column(self, name: str) -> list[str]:
        index = self.header.index(name)
        return [row[index] for row in self.rows]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str | None = None) -> list[Block]:
    found = [Block(match[1], match[2], match.start()) for match in _FENCE.finditer(text)]
    return [block for block in found if language in (None, block.language)]


def tables(text: str) -> list[Table]:
    return [
        Table(_cells(match[1]), tuple(_cells(row[1:-1]) for row in match[2].splitlines()), match.start())
        for match in _TABLE.finditer(text)
    ]


def links(text: str) -> list[str]:
    return _LINK.findall(without_blocks(text))


def inline_code(text: str) -> list[str]:
    return _INLINE.findall(without_blocks(text))


def anchors(text: str) -> set[str]:
    """Return the link anchors of the headings, as GitHub generates them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(without_blocks(text))
    }


def without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def shell_lines(text: str) -> Iterator[str]:
    """Yield the commands of the page's shell blocks, with continuation lines joined and no comments."""
    for block in blocks(text, "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s)#.*", "", line).strip()
            if command:
                yield command


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip().strip("`") for cell in row.split("|"))
