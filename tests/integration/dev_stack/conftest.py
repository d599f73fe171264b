"""Data of the embedded servers for tests that start servers themselves."""

from pathlib import Path

import pytest
from support.postgres_data import copy_data


@pytest.fixture
def stopped_stack(postgres_data: Path, tmp_path: Path) -> Path:
    """Return the directory of a stack that has PostgreSQL data."""
    directory = tmp_path / "stack"
    copy_data(postgres_data, directory)
    return directory
