"""The Makefile, the constraints and .ci/run: installation and checks of a fresh clone."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.markdown_pages import ROOT, page, tables
from support.pins import pins_of

TARGETS = [
    *(
        "demo",
        "dev",
        "test",
        "test-all",
        "test-tools",
        "mutants",
        "browser",
        "clients",
        "alerts",
        "chart",
        "encrypted",
        "lint",
        "format",
    ),
    *("corpus", "chaos", "openapi", "settings", "bench", "constraints", "sbom", "help"),
]

LINTERS = ["ruff check", "ruff format --check", "mypy", "lint-imports", "detect-secrets-hook", "bandit"]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Run make independently of the make process that runs the tests.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_without_target_lists_targets() -> None:
    listing = make().stdout
    assert listing == make("help").stdout
    assert re.findall(r"^make ([\w-]+) +\S", listing, re.MULTILINE) == TARGETS


def test_every_target_is_phony() -> None:
    linters, targets = re.findall(r"^\.PHONY: (.*)", page("Makefile"), re.MULTILINE)
    assert linters == "$(LINTERS)"
    assert targets.split() == TARGETS


def test_make_test_lints_and_runs_every_test() -> None:
    planned = make("--dry-run", "test").stdout
    steps = [*(f"{linter} " for linter in LINTERS), "python -m pytest"]
    run_ci = [f"{step} " for step in re.findall(r"\.venv/bin/(.*)", planned)]
    assert run_ci[-1].startswith(steps[-1])
    for step in steps:
        assert any(each.startswith(step) for each in run_ci), step


@pytest.mark.parametrize("failing", [None, *LINTERS])
def test_make_lint_runs_all_linters_and_fails_on_any(tmp_path: Path, failing: str | None) -> None:
    (tmp_path / "bin").mkdir()
    for program in {linter.split()[0] for linter in LINTERS}:
        script = tmp_path / "bin" / program
        script.write_text(
            f'#!/bin/sh\necho "{program} $*" | cut -c -200\n'
            f'case "{program} $* " in "{failing} "*) exit 1; esac\n'
        )
        script.chmod(0o755)
    for installed in ("embedded", "dev"):
        (tmp_path / installed).touch()
    linted = make(f"VENV={tmp_path}", "lint")
    assert (linted.returncode == 0) == (failing is None), linted.stderr
    for linter in LINTERS:
        assert f"\n{linter} " in linted.stdout.replace("\n", " \n")


def test_old_python_is_reported() -> None:
    refused = make("--always-make", "PYTHON=", "demo")
    assert refused.returncode != 0
    assert "Python 3.11 or later is required" in refused.stderr
    assert "Installing" not in refused.stdout


def test_contributing_explains_every_target() -> None:
    [explained] = [table for table in tables(page("CONTRIBUTING.md")) if table.header[0] == "target"]
    assert explained.column("target") == [f"make {target}" for target in TARGETS]
    assert all(explained.column("what it does"))


@pytest.mark.parametrize("target", ["browser", "clients"])
@pytest.mark.parametrize(("node", "taken"), [("exit 0", False), ("exit 1", True)])
def test_bundled_node_replaces_an_old_system_node(
    tmp_path: Path, target: str, node: str, taken: bool
) -> None:
    for name, script in (("node", node), ("npm", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    planned = subprocess.run(
        ["make", "--dry-run", target],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (f'PATH="{ROOT}/.venv/tools/bin:$PATH" .venv/bin/python -m pytest' in planned) == taken


def test_ci_installs_or_reports_missing_tools(tmp_path: Path) -> None:
    """Run with a stub `make`, without promtool and Go, and then also without apt-get."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "env", "id"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for name in ("make", "chromium", "apt-get"):
        command = tmp_path / "bin" / name
        command.write_text(f'#!/usr/bin/env bash\necho {name} "$@"\n')
        command.chmod(0o755)

    def run_ci() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", ROOT / ".ci" / "run"],
            env={"PATH": str(tmp_path / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )

    (tmp_path / "bin" / "sudo").symlink_to(tmp_path / "bin" / "env")
    installed = run_ci()
    assert installed.returncode == 0, installed.stderr
    [packages] = re.findall("^apt-get install (.*)$", installed.stdout, re.MULTILINE)
    assert packages.split()[-2:] == ["prometheus", "golang-go"]
    assert re.findall(r"^make ([\w-]+)$", installed.stdout, re.MULTILINE) == ["test", "test-tools"]
    (tmp_path / "bin" / "apt-get").unlink()
    refused = run_ci()
    assert refused.returncode == 1
    assert refused.stderr.startswith("promtool is missing")
    assert refused.stdout == ""


def test_ci_runs_make_test_then_browser_tests() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert re.findall(r"^make ([\w-]+)$", page(".ci/run"), re.MULTILINE) == ["test", "test-tools"]
    [command] = [line for line in make("--dry-run", "test-tools").stdout.splitlines() if "--jobs" in line]
    assert command.split()[-5:] == ["browser", "sbom", "alerts", "clients", "chart"]


@pytest.mark.parametrize("target", ["browser", "alerts", "clients", "chart"])
def test_make_test_requires_only_python(target: str) -> None:
    settings = tomllib.loads(page("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert target in settings["norecursedirs"]
    assert f"pytest tests/{target}" in make("--dry-run", target).stdout


def test_every_test_package_is_pinned() -> None:
    pinned = {pin.name for pin in pins_of("constraints.txt")}
    missing = {
        name
        for name in _transitive_dependencies("worksub", {"dev", "embedded", "api"})
        if _normal(name) not in map(_normal, pinned)
    }
    assert missing == set()


def test_installation_requires_hashes() -> None:
    steps = (
        make("--always-make", "--dry-run", "test").stdout + make("--dry-run", "--always-make", "sbom").stdout
    )
    installed = re.findall(r"-m pip install (.*)", steps)
    assert len(installed) >= 4
    for options in installed:
        # This package itself has no hash and adds none.
        own = "--no-deps --no-build-isolation --editable ." in options
        assert own or "--require-hashes --requirement" in options
    image = page("Dockerfile")
    assert "pip install --require-hashes --requirement requirements/image.txt" in image
    assert "pip install --no-deps --no-build-isolation ." in image


def test_sbom_is_built_from_image_requirements() -> None:
    planned = make("--dry-run", "sbom").stdout
    assert "cyclonedx-py requirements requirements/image.txt" in planned
    assert "--output-format JSON" in planned
    assert "--validate" in planned


def test_the_version_is_in_the_changelog() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    assert f"## [{project['version']}]" in page("CHANGELOG.md")


def _transitive_dependencies(name: str, extras: set[str], seen: set[str] | None = None) -> set[str]:
    """Return the transitive dependencies of a package on this platform."""
    seen = set() if seen is None else seen
    for text in requires(name) or []:
        needed = Requirement(text)
        if needed.name == "worksub" or f"{needed.name}" in seen:
            continue
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            version(needed.name)
            seen.add(needed.name)
            _transitive_dependencies(needed.name, set(needed.extras), seen)
    return seen


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
