"""Tests of the style sheet: each token is defined, used and documented, and each class is in a template."""

import re
from pathlib import Path

import entrypoints.console as console

_ROOT = Path(console.__file__).parent
_CSS = (_ROOT / "static" / "console.css").read_text()
_SPACES = {f"--s{n}" for n in range(1, 8)}
"""Spacing tokens, of which the documentation names the first and the last."""
_DOCS = (_ROOT.parents[1] / "docs" / "console.md").read_text()


def test_tokens_are_defined_used_and_documented() -> None:
    defined = set(re.findall(r"(--[\w-]+):", _CSS))
    assert defined == set(re.findall(r"var\((--[\w-]+)\)", _CSS))
    section = _DOCS.partition("### Tokens")[2].partition("### ")[0]
    assert defined - _SPACES == set(re.findall(r"`(--[\w-]+)`", section)) - _SPACES


def test_each_class_of_the_style_sheet_is_in_a_template() -> None:
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", _CSS)
    files = [*(_ROOT / "templates").rglob("*.html"), *(_ROOT / "static").glob("*.js")]
    words = set(re.findall(r"[\w-]+", " ".join(file.read_text() for file in files).lower()))
    prefixes = tuple(word for word in words if word.endswith("-"))
    unknown = set(re.findall(r"\.([a-z][\w-]*)", rules)) - words
    assert {name for name in unknown if not name.startswith(prefixes)} == set()
