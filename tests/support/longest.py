"""The files with the slowest tests. They start first, so that no process runs them alone at the end.

`--dist loadfile` starts files in the order of collection, if `--no-loadscope-reorder` is given as well.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST = (
    "integration/reconciliation/test_restores.py",
    "integration/worker/test_killed_workers.py",
    "docs/test_recovery.py",
    "cli/test_dev.py",
    "integration/reconciliation/test_reported_findings.py",
    "chaos/test_chaos.py",
    "integration/reconciliation/test_runs.py",
    "integration/reconciliation/test_repairs.py",
    "test_benchmarks.py",
    "cli/test_lookup.py",
    "integration/deadlines/test_continue_as_new.py",
    "property/test_engines_agree.py",
    "fuzz/test_raw_http.py",
    "integration/encryption/test_encrypted.py",
    "integration/bulk/test_killed_bulk_runs.py",
    "docs/test_operations.py",
    "integration/worker/test_worker_process.py",
    "integration/requests/test_domains.py",
    "integration/notices/test_email_delivery.py",
    "integration/dev_stack/test_workflow_clock.py",
    "integration/dev_stack/test_stack.py",
    "integration/invoicing/test_invoices.py",
    "console/test_two_customers.py",
    "integration/erasure/test_personal_data_canary.py",
    "integration/requests/test_catalogues.py",
    "cli/test_services.py",
    "integration/reconciliation/test_deadlines.py",
    "integration/reconciliation/test_failing_members.py",
    "integration/reconciliation/test_restored_backups.py",
    "integration/commands/test_malformed_input.py",
    "integration/commands/test_commands.py",
    "docs/test_readme.py",
    "integration/worker/test_temporal_tools.py",
    "integration/commands/test_signals.py",
    "console/test_issuer_answers.py",
    "cli/test_requests.py",
    "console/test_form_input.py",
    "integration/reconciliation/test_scope.py",
    "integration/worker/test_recorded_commands.py",
    "console/test_works_admin.py",
    "integration/schedules/test_schedules.py",
    "property/test_rules.py",
    "cli/test_list.py",
    "integration/deadlines/test_deadlines.py",
    "integration/notices/test_confirmations.py",
    "cli/test_commands.py",
    "replay/test_replay.py",
    "console/test_claimed_domain.py",
    "cli/test_environment.py",
)
"""Slowest first, by `pytest --durations` for the whole suite."""


def order_of(file: Path) -> int:
    """Return the position of a file in the order; files that are not listed come last."""
    name = file.relative_to(TESTS).as_posix() if file.is_relative_to(TESTS) else ""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
