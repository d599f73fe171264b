"""The prose rules of CONTRIBUTING.md that a program can check: banned words, and the form of docstrings."""

import ast
import inspect
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.markdown_pages import ROOT

BANNED = (
    *("whoever", "whatever", "somebody", "nobody", "everybody", "anybody", "anew", "amiss", "aloud"),
    *("of ours", "by itself", "goes by", "looked at", "told", "who asks", "what is asked"),
    *("a life", "lives", "lived", "the house", "the world", "the door"),
    *("reckon", "reckons", "reckoned", "misfit", "patience", "letter", "letters", "errand", "courier"),
)

# The lookbehind admits the standard term for a message that could not be delivered.
_BANNED = re.compile(rf"\b(?<!dead )({'|'.join(BANNED)})\b", re.IGNORECASE)
_BEGINS_WITH_QUESTION = r"\W*(What|Whatever|Whether|How|Who|Whose|Whoever|Where|When|Why|Which)\b"
_QUESTION = re.compile(_BEGINS_WITH_QUESTION)
_QUESTION_IN_QUOTES = re.compile(f"[\"']{_BEGINS_WITH_QUESTION}")
_CODE_OR_TARGET = re.compile(r"`[^`]*`|\]\([^)]*\)")
_COMMENT = {
    **dict.fromkeys((".toml", ".yml", ".yaml", ".sh", ".po", "Makefile", "Dockerfile", "run"), "#"),
}


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


FILES = _tracked()
PYTHON = [name for name in FILES if name.endswith(".py")]
COMMENTED = [name for name in FILES if (Path(name).suffix or Path(name).name) in _COMMENT]
MARKDOWN = [name for name in FILES if name.endswith(".md")]


def test_no_docstring_begins_with_a_question_word() -> None:
    questions = [
        f"{name}: {text.splitlines()[0]}"
        for name in PYTHON
        if _QUESTION_IN_QUOTES.search(_text(name))
        for _, text in _docstrings(name)
        if _QUESTION.match(text)
    ]
    assert questions == []


def test_prose_has_no_banned_word() -> None:
    banned = [
        f"{name}:{line}: {match[0]}"
        for name in (*PYTHON, *COMMENTED, *MARKDOWN)
        if _BANNED.search(_text(name))  # to parse only these files
        for line, prose in _prose(name, _text(name))
        for match in _BANNED.finditer(prose)
    ]
    assert banned == []


@cache
def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _prose(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings, comments and paragraphs of a file, each with its line number."""
    if name.endswith(".py"):
        yield from _docstrings(name)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
        return
    sign = _COMMENT.get(Path(name).suffix or Path(name).name)
    for number, line in enumerate(text.splitlines(), start=1):
        if sign is None:
            yield number, _CODE_OR_TARGET.sub("", line)
        elif line.lstrip().startswith(sign):
            yield number, line


def _docstrings(name: str) -> list[tuple[int, str]]:
    """Return the strings that are statements: docstrings, and descriptions of attributes and constants."""
    tree = ast.parse(_text(name))
    return [
        (node.lineno, inspect.cleandoc(node.value.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
