"""The files whose tests take longest, which start first: nothing long is left for one process at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "chaos/test_chaos.py",
    "service/test_worker_process.py",
    "service/test_killed_moments.py",
    "test_benchmarks.py",
    "service/test_reconcile_restores.py",
    "service/test_reconcile_open.py",
    "service/test_encrypted.py",
    "cli/test_dev.py",
    "cli/test_services.py",
    "docs/test_readme.py",
    "docs/test_recovery.py",
    "service/test_restores.py",
    "service/test_time.py",
    "service/test_deployments.py",
    "service/test_erasure.py",
    "service/test_machine.py",
    "service/test_finding.py",
    "service/test_metrics.py",
    "api/test_webhooks.py",
    "hostile/test_raw_http.py",
)
"""Longest first, as `pytest --durations` shows them in a run of the whole suite."""


def place_of(file: Path) -> int:
    """Return the place at which the tests of a file start: the last one for all files that are not listed."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
