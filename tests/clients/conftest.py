"""The service that generated and foreign clients call, and the npm packages that these clients need."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cli.conftest import catalogue_file, service

__all__ = ["catalogue_file", "service"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The directory with `node_modules`; npm installs the packages once for each change of `package.json`."""
    assert shutil.which("npm"), "The tests of clients need Node.js 20 and npm; on Debian: apt-get install npm"
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (HERE / "package.json").stat().st_mtime:
        subprocess.run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=HERE,
            check=True,
        )
        installed.touch()
    return HERE
