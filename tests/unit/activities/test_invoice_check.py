"""Gaps in the invoice numbers: each year starts with number 1, and pages continue each other."""

import pytest

from activities.reconciliation.invoice_check import _gaps


@pytest.mark.parametrize(
    ("after", "numbers", "messages"),
    [
        ("", ["2026-000001", "2026-000002", "2027-000001"], []),
        ("2026-000007", ["2026-000008"], []),
        ("", ["2026-000002"], ["Invoice 2026-000001 is missing."]),
        ("2026-000007", ["2027-000003"], ["Invoices 2027-000001 to 2027-000002 are missing."]),
        ("2026-000007", ["2026-000009"], ["Invoice 2026-000008 is missing."]),
        ("", ["2026-000001", "2026-one", "2026-000002"], ["Invoice 2026-one: its number is invalid."]),
    ],
)
def test_gaps_of_invoice_numbers_are_found(after: str, numbers: list[str], messages: list[str]) -> None:
    assert [finding.message for finding in _gaps(after, numbers)] == messages
