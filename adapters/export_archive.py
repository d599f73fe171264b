"""Export archive: the rows of each subject as JSON and CSV, and a manifest, in one zip stream (R37).

`zipfile` of the standard library writes to an output that cannot seek, so no package is needed. Nothing is
stored: the archive exists only as the pieces that its reader takes.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any, ClassVar, Self

from adapters.csv_format import BYTE_ORDER_MARK, csv_text
from subscription.business_calendar import KST, Instant
from subscription.model import Frozen

MANIFEST = "manifest.json"
REDACTED = "[removed]"
_FORMAT = "worksub-export"
_FORMAT_VERSION = 1

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RowSet:
    """The rows of one subject, which become the files `name`.json and `name`.csv.

    `batches` is called once for each file, and must return the same rows in the same order.
    """

    name: str
    columns: Sequence[str]
    batches: Callable[[], AsyncIterator[Sequence[Row]]]


class ExportedFile(Frozen):
    """An entry of the manifest. `rows` excludes the header of a CSV file."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Manifest(Frozen):
    """The content of `manifest.json`, the last file of an archive. `taken_at` is the database's clock."""

    format: str = _FORMAT
    format_version: int = _FORMAT_VERSION
    subscription_id: str
    taken_at: Instant
    files: tuple[ExportedFile, ...]


async def write_archive(
    subscription_id: str, taken_at: datetime, row_sets: Iterable[RowSet], secrets: Sequence[str] = ()
) -> AsyncGenerator[bytes]:
    """Yield the archive in pieces. Each of `secrets` is removed from every text that contains it.

    The manifest and the zip directory come last, so no program opens an archive that was cut off.
    """
    redact = _redaction(secrets)
    files: list[ExportedFile] = []
    # If the reader stops early, closing the archive writes the rest of it to a buffer that is never read.
    with _ZipStream(taken_at) as archive:
        for row_set in row_sets:
            for encoding in (_JsonFile, _CsvFile):
                file = encoding(row_set.columns)
                rows = 0
                with archive.open(f"{row_set.name}.{file.suffix}") as entry:
                    entry.write(file.head())
                    async for batch in row_set.batches():
                        entry.write(redact(file.body(batch)))
                        rows += len(batch)
                        if pending := archive.take():
                            yield pending
                    entry.write(file.tail())
                files.append(entry.listed(rows))
        manifest = Manifest(subscription_id=subscription_id, taken_at=taken_at, files=tuple(files))
        with archive.open(MANIFEST) as entry:
            entry.write(f"{manifest.model_dump_json(indent=2)}\n")
        archive.close()
        yield archive.take()


class _Entry:
    """A file of the archive while it is written, with its size and its hash."""

    def __init__(self, name: str, output: IO[bytes]) -> None:
        self._name = name
        self._output = output
        self._size = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()

    def write(self, text: str) -> None:
        content = text.encode()
        self._size += self._output.write(content)
        self._digest.update(content)

    def listed(self, rows: int) -> ExportedFile:
        return ExportedFile(name=self._name, rows=rows, bytes=self._size, sha256=self._digest.hexdigest())


class _ZipStream:
    """A zip file whose bytes are taken as they are written."""

    def __init__(self, taken_at: datetime) -> None:
        self._output = _Output()
        # Zip has no time zones; the time of every entry is that of the archive, in Korea.
        self._moment = taken_at.astimezone(KST).timetuple()[:6]
        self._zip = zipfile.ZipFile(self._output, "w")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str) -> _Entry:
        entry = zipfile.ZipInfo(name, self._moment)
        entry.compress_type = zipfile.ZIP_DEFLATED
        return _Entry(name, self._zip.open(entry, "w"))

    def take(self) -> bytes:
        return self._output.take()

    def close(self) -> None:
        self._zip.close()


class _Output(io.RawIOBase):
    """An output that cannot seek, and from which the bytes written since the last call are taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _JsonFile:
    """A JSON array with one object per line; lossless."""

    suffix: ClassVar[str] = "json"

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._is_empty = True

    def head(self) -> str:
        return "["

    def body(self, rows: Sequence[Row]) -> str:
        lines = []
        for row in rows:
            lines.append("\n" if self._is_empty else ",\n")
            lines.append(_json_text({name: row[name] for name in self._columns}))
            self._is_empty = False
        return "".join(lines)

    def tail(self) -> str:
        return "\n]\n"


class _CsvFile:
    """A table for spreadsheets, as RFC 4180 with a header.

    Nested values are JSON text.
    """

    suffix: ClassVar[str] = "csv"

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def head(self) -> str:
        return BYTE_ORDER_MARK + csv_text([self._columns])

    def body(self, rows: Sequence[Row]) -> str:
        return csv_text([_cell(row[name]) for name in self._columns] for row in rows)

    def tail(self) -> str:
        return ""


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> str:
    """Return a date or a time as text, as the HTTP API does."""
    match value:
        case datetime():
            return value.astimezone(KST).isoformat()
        case date():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be exported")


def _cell(value: object) -> object:
    match value:
        case bool() | dict() | list():
            return _json_text(value)
        case None | int() | str():
            return value
    return _plain(value)


def _redaction(secrets: Sequence[str]) -> Callable[[str], str]:
    if not secrets:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))
    return lambda text: pattern.sub(REDACTED, text)
