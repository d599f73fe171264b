"""Purity of `subscription`: no system clock, no randomness, no I/O (R33)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "subscription"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Functions that read the system clock, use randomness, open files or access the network.
FORBIDDEN_CALLS = {
    *("now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"),
    *("uuid1", "uuid4", "urandom", "token_hex", "token_bytes", "token_urlsafe"),
    *("open", "read_text", "read_bytes", "write_text", "getenv", "input", "print", "exec", "eval"),
}
FORBIDDEN_IMPORTS = {
    *("temporalio", "asyncpg", "dns", "asyncio", "concurrent", "threading", "multiprocessing"),
    *("time", "random", "secrets", "uuid", "socket", "ssl", "http", "urllib.request", "subprocess"),
    *("os", "sys", "pathlib", "io", "tempfile", "zoneinfo", "locale", "logging"),
    *("adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints", "worker"),
}


@cache
def syntax_tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), filename=module.name)


def parsed(module: Path) -> Iterator[ast.AST]:
    return ast.walk(syntax_tree(module))


def names_called(module: Path) -> set[str]:
    calls = [node.func for node in parsed(module) if isinstance(node, ast.Call)]
    return {
        called.attr if isinstance(called, ast.Attribute) else called.id
        for called in calls
        if isinstance(called, ast.Attribute | ast.Name)
    }


def modules_imported(module: Path) -> set[str]:
    """Return the imported modules and their parent packages: `urllib.parse` includes `urllib`."""
    found: set[str] = set()
    for node in parsed(module):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name for whole in names for name in accumulate(whole.split("."), "{}.{}".format)}
    return found


def test_domain_modules_are_found() -> None:
    assert {"decide.py", "apply.py", "deadlines.py"} <= {module.name for module in MODULES}


def test_r33_domain_uses_no_clock_randomness_or_files() -> None:
    assert {
        module.stem: found for module in MODULES if (found := names_called(module) & FORBIDDEN_CALLS)
    } == {}


def test_domain_imports_no_infrastructure() -> None:
    imported = {module.stem: modules_imported(module) & FORBIDDEN_IMPORTS for module in MODULES}
    assert {module: found for module, found in imported.items() if found} == {}


def test_r33_domain_uses_no_local_time_zone() -> None:
    # `astimezone()` and `fromtimestamp(x)` without a zone use the local time zone of the machine.
    for module in MODULES:
        for node in parsed(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = f"{module.name}:{node.lineno}"
                assert node.func.attr not in ("fromtimestamp", "timestamp", "mktime"), place
                assert node.func.attr != "astimezone" or node.args, place


def test_importing_the_domain_loads_no_infrastructure() -> None:
    everything = ", ".join(f"subscription.{module.stem}" for module in MODULES if module.stem != "__init__")
    # A new interpreter, because this one has already imported these modules for other tests.
    program = f"import sys, {everything}; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    imported = set(completed.stdout.split())
    assert "subscription" in imported
    infrastructure = {
        "temporalio",
        "asyncpg",
        "dns",
        "asyncio",
        "adapters",
        "workflows",
        "activities",
        "starter",
    }
    assert imported & infrastructure == set()
