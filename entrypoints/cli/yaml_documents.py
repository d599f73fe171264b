"""Strict YAML parser that reports line numbers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from adapters.files import STANDARD_INPUT, TooLargeError, read_text

_PLAIN = "!plain"
_TEXT = "tag:yaml.org,2002:str"
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")

# Nested aliases can expand a few lines to millions of values (the "billion laughs" attack).
_MAX_VALUES = 200_000


class DocumentError(Exception):
    """Raised for an unreadable file; the message has the file, the line and the problem."""

    def __init__(self, source: str, line: int | None, problem: str) -> None:
        super().__init__(f"{source}, line {line}: {problem}." if line else f"{source}: {problem}.")
        self.source = source
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class YamlDocument:
    """One document of a file: its fields, and the line of each field by dotted path."""

    source: str
    fields: Mapping[str, Any]
    lines: Mapping[str, int]

    def line_of(self, path: str | None) -> int:
        """Return the line of a field, or of the nearest enclosing field."""
        parts = path.split(".") if path else []
        while parts and ".".join(parts) not in self.lines:
            parts.pop()
        return self.lines[".".join(parts)]


class _Loader(yaml.BaseLoader):
    """Loader that leaves the interpretation of unquoted scalars to `_plain`."""


_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)


def read_documents(path: Path) -> list[YamlDocument]:
    """Return the documents of a YAML file; raise `DocumentError` unless each is a mapping."""
    source = "standard input" if path == STANDARD_INPUT else str(path)
    try:
        text = read_text(path)
        documents = [_DocumentParser(source).document(node) for node in yaml.compose_all(text, _Loader)]
    except TooLargeError as error:
        raise DocumentError(source, None, str(error)) from None
    except UnicodeDecodeError as error:
        raise DocumentError(source, None, f"is not UTF-8 text, byte {error.start} is wrong") from None
    except OSError as error:
        raise DocumentError(source, None, f"cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentError(source, line, f"is not YAML: {error.problem}") from None
    except yaml.YAMLError:  # has a position, but no line
        raise DocumentError(source, None, "is not YAML: it has characters that cannot be printed") from None
    except RecursionError:
        raise DocumentError(source, None, "is nested too deeply") from None
    if not any(documents):
        raise DocumentError(source, None, "is empty")
    return [document for document in documents if document]


class _DocumentParser:
    """Parser of one document."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines: dict[str, int] = {}
        self._values = 0

    def document(self, node: yaml.Node) -> YamlDocument | None:
        """Return the document, or None if it is empty, as after a final `---`."""
        fields = self._value(node, "", ())
        if fields is None:
            return None
        if not isinstance(fields, dict):
            raise self._error(node, "there must be named fields here, as in `name: value`")
        return YamlDocument(self._source, fields, self._lines)

    def _value(self, node: yaml.Node, path: str, within: tuple[yaml.Node, ...]) -> Any:
        self._values += 1
        if node in within or self._values > _MAX_VALUES:
            raise self._error(node, "an alias (*name) repeats too much here")
        self._lines[path] = node.start_mark.line + 1
        match node:
            case yaml.ScalarNode(tag=tag, value=text) if tag in (_PLAIN, _TEXT):
                return _plain(text) if tag == _PLAIN else text
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq", value=entries):
                return [
                    self._value(entry, _joined(path, str(number)), (*within, node))
                    for number, entry in enumerate(entries)
                ]
            case yaml.MappingNode(tag="tag:yaml.org,2002:map", value=pairs):
                return self._fields(pairs, path, (*within, node))
        raise self._error(node, f"the tag {node.tag} is not known here")

    def _fields(
        self, pairs: list[tuple[yaml.Node, yaml.Node]], path: str, within: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a field's name must be a plain word")
            if key.value in fields:
                first = self._lines[_joined(path, key.value)]
                raise self._error(key, f"{key.value!r} is given twice, first on line {first}")
            fields[key.value] = self._value(value, _joined(path, key.value), within)
            self._lines[_joined(path, key.value)] = key.start_mark.line + 1
        return fields

    def _error(self, node: yaml.Node, problem: str) -> DocumentError:
        return DocumentError(self._source, node.start_mark.line + 1, problem)


def _plain(text: str) -> Any:
    """Return the value of an unquoted scalar. Dates, `on`, `yes` and numbers with leading zeros are text."""
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
