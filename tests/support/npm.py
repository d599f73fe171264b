"""Installation of the npm packages of a test directory; no lock file, which would name a registry."""

import shutil
import subprocess
from pathlib import Path


def install_packages(directory: Path) -> Path:
    """Install the packages of `package.json` once for each change of that file; return the directory."""
    assert shutil.which("npm"), "These tests need Node.js 20 and npm; on Debian: apt-get install npm"
    installed = directory / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (directory / "package.json").stat().st_mtime:
        subprocess.run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=directory,
            check=True,
        )
        installed.touch()
    return directory
