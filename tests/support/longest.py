"""The files with the slowest tests. They start first, so that no process runs them alone at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "cli/test_dev.py",
    "chaos/test_chaos.py",
    "integration/reconciliation/test_runs.py",
    "integration/worker/test_killed_workers.py",
    "integration/reconciliation/test_restores.py",
    "integration/reconciliation/test_reported_findings.py",
    "integration/reconciliation/test_repairs.py",
    "cli/test_lookup.py",
    "test_benchmarks.py",
    "docs/test_readme.py",
    "docs/test_recovery.py",
    "integration/deadlines/test_continue_as_new.py",
    "integration/reconciliation/test_scope.py",
    "integration/notices/test_email_delivery.py",
    "cli/test_commands.py",
    "docs/test_operations.py",
    "property/test_engines_agree.py",
    "integration/reconciliation/test_deadlines.py",
    "integration/encryption/test_encrypted.py",
    "integration/invoicing/test_invoices.py",
    "integration/bulk/test_killed_bulk_runs.py",
    "integration/requests/test_requests.py",
    "integration/requests/test_domains.py",
    "integration/deadlines/test_deadlines.py",
    "integration/notices/test_confirmations.py",
    "integration/schedules/test_schedules.py",
    "integration/erasure/test_personal_data_canary.py",
    "integration/worker/test_upgrading.py",
    "integration/worker/test_recorded_commands.py",
    "integration/notices/test_notices.py",
    "console/test_two_customers.py",
    "integration/worker/test_namespace_attacks.py",
    "cli/test_services.py",
    "integration/reconciliation/test_restored_backups.py",
    "integration/commands/test_signals.py",
    "cli/test_environment.py",
    "fuzz/test_raw_http.py",
    "integration/reconciliation/test_consistent_data.py",
    "cli/test_requests.py",
    "integration/worker/test_deployments.py",
    "integration/commands/test_commands.py",
    "fuzz/test_slow_clients.py",
    "console/test_issuer_answers.py",
    "integration/worker/test_worker_process.py",
    "mutants/test_mutants.py",
    "integration/reconciliation/test_failing_members.py",
    "api/test_odd_queries.py",
    "console/test_hostile_forms.py",
    "integration/deadlines/test_outages.py",
    "integration/commands/test_malformed_input.py",
    "cli/test_schedules.py",
    "integration/erasure/test_retention.py",
)
"""Slowest first, by `pytest --durations` for the whole suite."""


def order_of(file: Path) -> int:
    """Return the position of a file in the order; files that are not listed come last."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
