"""Integration tests: dev stack."""
