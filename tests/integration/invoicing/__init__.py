"""Integration tests: invoicing."""
