"""Static checks that workflow code is deterministic, because it runs without a sandbox."""

import ast
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parents[3] / "workflows"

FORBIDDEN_MODULES = set(
    "asyncio multiprocessing os random secrets socket subprocess threading time uuid".split()  # noqa: SIM905
)
# Tasks and shields run on the workflow's event loop and do not read the system clock.
ALLOWED_MODULES = {("deadline_timer.py", "asyncio"), ("cancellation_shield.py", "asyncio")}
FORBIDDEN_CALLS = {"now", "utcnow", "today", "fromtimestamp", "open", "input", "print", "id", "hash", "set"}

# A query compares with the real clock and leaves nothing in the history. A scheduled job uses the
# workflow clock, which is deterministic on replay.
ALLOWED = {
    ("adjustment.py", "workflow.now"),
    ("attention.py", "workflow.now"),
    ("bulk.py", "workflow.now"),
    ("subscription.py", "datetime.now"),
    ("subscription.py", "workflow.now"),
    ("lifecycle.py", "workflow.now"),
    ("notifications.py", "workflow.now"),
}
OWN_NOW = "self.now", "lifecycle.now"

FILES = sorted(WORKFLOWS.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_workflows_use_no_system_clock_or_randomness(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {name for node in ast.walk(tree) for name in modules_of(node)}
    assert {(file.name, name) for name in imported & FORBIDDEN_MODULES} <= ALLOWED_MODULES
    calls = {called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    odd = {name for name in calls if name.rpartition(".")[2] in FORBIDDEN_CALLS and name not in OWN_NOW}
    assert {(file.name, name) for name in odd} <= ALLOWED


def modules_of(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module.partition(".")[0]}
    return set()


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_real_clock_is_read_only_in_queries() -> None:
    tree = ast.parse((WORKFLOWS / "subscription.py").read_text(encoding="utf-8"))
    asking = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(node, ast.Call) and called(node) == "datetime.now" for node in ast.walk(function))
    }
    callers = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(
            isinstance(node, ast.Call) and called(node) == "self._query_time" for node in ast.walk(function)
        )
    }
    assert asking == {"_query_time"}
    assert callers == {"upcoming", "quote_cancellation", "current_details"}


def test_modules_have_no_mutable_globals() -> None:
    """Workflows of one process share modules, so module-level collections must be immutable."""
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
                node.value, ast.List | ast.Set | ast.ListComp
            ):
                pytest.fail(
                    f"{file.name}, line {node.lineno}: a tuple or frozenset can be shared, this cannot"
                )
