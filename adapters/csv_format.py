"""CSV for spreadsheets: RFC 4180, in UTF-8 with a byte order mark, without formulas."""

import csv
import io
from collections.abc import Iterable, Sequence

BYTE_ORDER_MARK = "\ufeff"
"""Excel reads Korean text without it as CP949."""
MEDIA_TYPE = "text/csv; charset=utf-8"

# Spreadsheets interpret a cell as a formula if it begins with one of these characters (OWASP, CSV injection).
# So do their full-width forms.
_FORMULA_PREFIXES = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV. A text that a spreadsheet would interpret as a formula gets an apostrophe in front.

    Numbers are written unchanged, also negative ones.
    """
    text = io.StringIO()
    csv.writer(text).writerows([guarded_cell(value) for value in row] for row in rows)
    return text.getvalue()


def guarded_cell(value: object) -> object:
    """Return the value of a cell, which no spreadsheet interprets as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_PREFIXES) else value
