"""docs/journal.md lists the formats, the columns and the accounts of the journal."""

from support.markdown_pages import page, tables

from adapters.journal_formats import COLUMNS, JournalFormat
from subscription.journal import JournalAccount

FORMATS, COLUMN_TABLE, ACCOUNTS, *_ = tables(page("docs/journal.md"))


def test_journal_page_lists_formats_columns_and_accounts() -> None:
    assert [name.strip("`") for name in FORMATS.column("--format")] == list(JournalFormat)
    written = [name.strip("` ") for cell in COLUMN_TABLE.column("column") for name in cell.split(",")]
    assert written == list(COLUMNS)
    assert [name.strip("`") for name in ACCOUNTS.column("account")] == list(JournalAccount)
