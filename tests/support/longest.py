"""The files with the slowest tests. They start first, so that no process runs them alone at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "chaos/test_chaos.py",
    "integration/worker/test_worker_process.py",
    "integration/worker/test_killed_workers.py",
    "test_benchmarks.py",
    "integration/erasure/test_personal_data_canary.py",
    "integration/reconciliation/test_restores.py",
    "integration/reconciliation/test_reported_findings.py",
    "integration/encryption/test_encrypted.py",
    "cli/test_dev.py",
    "cli/test_services.py",
    "docs/test_readme.py",
    "docs/test_recovery.py",
    "integration/reconciliation/test_restored_backups.py",
    "integration/deadlines/test_deadlines.py",
    "integration/worker/test_deployments.py",
    "integration/erasure/test_erasure.py",
    "property/test_state_machine.py",
    "integration/observability/test_metrics.py",
    "api/test_webhooks.py",
    "fuzz/test_raw_http.py",
)
"""Slowest first, by `pytest --durations` for the whole suite."""


def order_of(file: Path) -> int:
    """Return the position of a file in the order; files that are not listed come last."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
