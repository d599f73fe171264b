"""Integration tests: erasure."""
