"""The YAML reader: no implicit type conversion, and every error has its line."""

from pathlib import Path
from typing import Any

import pytest

from entrypoints.cli.yaml_documents import DocumentError, read_documents


def read(directory: Path, content: str | bytes) -> list[Any]:
    file = directory / "file.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [document.fields for document in read_documents(file)]


@pytest.mark.parametrize(
    ("written", "expected_value"),
    [
        ("2027-01-31", "2027-01-31"),
        ("2027-01-01T09:00:00+09:00", "2027-01-01T09:00:00+09:00"),
        ("2027-01-01 09:00:00+09:00", "2027-01-01 09:00:00+09:00"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("'12'", "12"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("0212345678", "0212345678"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("!!str 12", "12"),
        ("9" * 40, "9" * 40),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
    ],
)
def test_scalars_keep_their_literal_meaning(tmp_path: Path, written: str, expected_value: object) -> None:
    assert read(tmp_path, f"field: {written}") == [{"field": expected_value}]


def test_field_names_are_text(tmp_path: Path) -> None:
    assert read(tmp_path, "on: 1\n2027-01-01: 2\n12: 3") == [{"on": 1, "2027-01-01": 2, "12": 3}]


def test_multiple_documents_are_read_and_empty_ones_skipped(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff---\na: 1\n---\n---\na: 2\n---\n") == [{"a": 1}, {"a": 2}]


def test_alias_repeats_its_anchor(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x {b: 1}\nc: *x") == [{"a": {"b": 1}, "c": {"b": 1}}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "file.yaml: is empty."),
        ("---\n---\n", "file.yaml: is empty."),
        ("a: 1\nb: 2\na: 3", "file.yaml, line 3: 'a' is given twice, first on line 1."),
        ("a:\n  b: 1\n  b: 1", "file.yaml, line 3: 'b' is given twice, first on line 2."),
        ("- a", "file.yaml, line 1: there must be named fields here, as in `name: value`."),
        ("a: [1", "line 1: is not YAML: "),
        ("a: 1\n b: 2", "file.yaml, line 2: is not YAML: mapping values are not allowed here."),
        ("a: *b", "file.yaml, line 1: is not YAML: found undefined alias 'b'."),
        ("a: &a [*a]", "file.yaml, line 1: an alias (*name) repeats too much here."),
        ("a: !!python/object:os.system x", "line 1: the tag tag:yaml.org,2002:python/object:os.system is"),
        ("a: !!binary aGk=", "line 1: the tag tag:yaml.org,2002:binary is not known here."),
        ("? [a]\n: 1", "file.yaml, line 1: a field's name must be a plain word."),
        (b"a: \xff", "file.yaml: is not UTF-8 text, byte 3 is wrong."),
        ("a: \x07", "file.yaml: is not YAML: it has characters that cannot be printed."),
        ("[" * 5000, "file.yaml: is nested too deeply."),
        ("a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
            f"{new}: &{new} [*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old}]\n"
            for old, new in zip("abcdef", "bcdefg", strict=True)
        ), "line 1: an alias (*name) repeats too much here."),
    ],
)  # fmt: skip
def test_unreadable_document_is_reported_with_its_line(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        read(tmp_path, content)
    assert expected in str(caught.value)


def test_directory_is_refused_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read: Is a directory"):
        read_documents(tmp_path)


def test_problem_has_line_of_field_or_its_parent(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("# a comment\nname: x\nsteps:\n  - at: now\n    cancel: {}\n")
    [document] = read_documents(tmp_path / "file.yaml")
    lines = {
        path: document.line_of(path) for path in ("name", "steps.0.cancel", "steps.0.until", "until", None)
    }
    assert lines == {"name": 2, "steps.0.cancel": 5, "steps.0.until": 4, "until": 2, None: 2}
