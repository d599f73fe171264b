"""Integration tests: deadlines."""
