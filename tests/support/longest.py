"""The files with the slowest tests. They start first, so that no process runs them alone at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "integration/requests/test_requests.py",
    "integration/reconciliation/test_restores.py",
    "docs/test_recovery.py",
    "integration/worker/test_killed_workers.py",
    "chaos/test_chaos.py",
    "cli/test_dev.py",
    "docs/test_readme.py",
    "integration/erasure/test_erasure.py",
    "integration/worker/test_worker_process.py",
    "integration/encryption/test_encrypted.py",
    "integration/reconciliation/test_reported_findings.py",
    "fuzz/test_raw_http.py",
    "integration/invoicing/test_invoices.py",
    "test_benchmarks.py",
    "integration/notices/test_email_delivery.py",
    "integration/requests/test_manual_starts.py",
    "cli/test_environment.py",
    "property/test_engines_agree.py",
    "cli/test_lookup.py",
    "integration/deadlines/test_continue_as_new.py",
    "cli/test_commands.py",
    "integration/commands/test_signals.py",
    "integration/worker/test_deployments.py",
    "integration/reconciliation/test_deadlines.py",
    "cli/test_services.py",
    "integration/notices/test_notices.py",
    "integration/deadlines/test_deadlines.py",
    "integration/reconciliation/test_repairs.py",
    "integration/worker/test_upgrading.py",
    "cli/test_notices.py",
    "integration/observability/test_logs.py",
    "integration/worker/test_patches.py",
    "integration/commands/test_malformed_input.py",
    "integration/reconciliation/test_runs.py",
    "integration/observability/test_traces.py",
    "integration/schedules/test_schedules.py",
    "integration/reconciliation/test_restored_backups.py",
    "integration/reconciliation/test_consistent_data.py",
    "integration/commands/test_floods.py",
    "integration/reconciliation/test_lost_workflow.py",
)
"""Slowest first, by `pytest --durations` for the whole suite."""


def order_of(file: Path) -> int:
    """Return the position of a file in the order; files that are not listed come last."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
