"""The service that generated and foreign clients call, and the npm packages that these clients need."""

from pathlib import Path

import pytest
from cli.conftest import catalogue_file, service
from support.npm import install_packages

__all__ = ["catalogue_file", "service"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The directory with `node_modules`."""
    return install_packages(HERE)
