"""The files with the slowest tests. They start first, so that no process runs them alone at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "cli/test_dev.py",
    "integration/worker/test_killed_workers.py",
    "integration/reconciliation/test_restores.py",
    "chaos/test_chaos.py",
    "integration/requests/test_requests.py",
    "docs/test_recovery.py",
    "docs/test_readme.py",
    "fuzz/test_raw_http.py",
    "integration/reconciliation/test_restored_backups.py",
    "cli/test_commands.py",
    "integration/commands/test_floods.py",
    "integration/reconciliation/test_repairs.py",
    "integration/encryption/test_encrypted.py",
    "test_benchmarks.py",
    "property/test_engines_agree.py",
    "integration/erasure/test_erasure.py",
    "cli/test_lookup.py",
    "integration/requests/test_manual_starts.py",
    "integration/reconciliation/test_reported_findings.py",
    "integration/invoicing/test_invoices.py",
    "cli/test_environment.py",
    "integration/commands/test_signals.py",
    "cli/test_requests.py",
    "integration/deadlines/test_continue_as_new.py",
    "integration/worker/test_worker_process.py",
    "integration/notices/test_email_delivery.py",
    "integration/worker/test_namespace_attacks.py",
    "integration/worker/test_deployments.py",
    "api/test_odd_queries.py",
    "integration/notices/test_notices.py",
    "integration/dev_stack/test_servers.py",
    "integration/requests/test_domains.py",
    "docs/test_operations.py",
    "integration/erasure/test_personal_data_canary.py",
    "integration/deadlines/test_deadlines.py",
    "integration/reconciliation/test_deadlines.py",
    "cli/test_services.py",
    "integration/observability/test_traces.py",
    "property/test_rules.py",
    "integration/reconciliation/test_consistent_data.py",
    "integration/commands/test_malformed_input.py",
    "console/test_two_customers.py",
    "integration/worker/test_upgrading.py",
    "property/test_state_machine.py",
    "cli/test_simulate.py",
    "cli/test_imports.py",
    "integration/reconciliation/test_runs.py",
    "integration/worker/test_recorded_commands.py",
)
"""Slowest first, by `pytest --durations` for the whole suite."""


def order_of(file: Path) -> int:
    """Return the position of a file in the order; files that are not listed come last."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
