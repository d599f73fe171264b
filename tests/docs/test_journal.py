"""docs/journal.md lists the columns and the accounts of the journal."""

from support.markdown_pages import page, tables

from entrypoints.cli.journal import COLUMNS
from subscription.journal import JournalAccount

COLUMN_TABLE, ACCOUNTS, *_ = tables(page("docs/journal.md"))


def test_columns_and_accounts_of_the_journal_are_documented() -> None:
    written = [name.strip("` ") for cell in COLUMN_TABLE.column("column") for name in cell.split(",")]
    assert written == list(COLUMNS)
    assert [name.strip("`") for name in ACCOUNTS.column("account")] == list(JournalAccount)
