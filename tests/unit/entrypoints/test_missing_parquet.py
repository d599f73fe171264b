"""`worksub journal --format parquet` without its optional package."""

import pytest

from entrypoints.cli import journal
from entrypoints.cli.errors import CommandError, ExitCode


def test_parquet_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "find_spec", {}.get)
    with pytest.raises(CommandError) as refused:
        journal._check_parquet()
    error = refused.value
    assert (error.exit_code, error.code) == (ExitCode.USAGE, "PARQUET_NOT_INSTALLED")
    assert "pip install 'worksub[parquet]'" in f"{error.advice}"
