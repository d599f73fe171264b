"""Fixtures: the service for generated and foreign-language clients, and their npm packages."""

from pathlib import Path

import pytest
from cli.conftest import catalogue_file, service
from support.npm import install_packages

__all__ = ["catalogue_file", "service"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """Return the directory that contains `node_modules`."""
    return install_packages(HERE)
