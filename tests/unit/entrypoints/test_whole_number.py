"""The number of members as typed into a form."""

import pytest

from entrypoints.console.request_draft import whole_number


@pytest.mark.parametrize("typed", ["1.5", "1e3", "", "-", "0x10", "ten", "\uff11"])
def test_text_that_is_no_whole_number_is_not_read(typed: str) -> None:
    assert whole_number(typed) is None


@pytest.mark.parametrize(
    ("typed", "number"), [(" 10 ", 10), ("0", 0), ("-1", -1), ("9" * 25, 1_000_000_000_000_000_000)]
)
def test_whole_number_is_read_and_capped(typed: str, number: int) -> None:
    assert whole_number(typed) == number
