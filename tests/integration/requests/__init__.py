"""Integration tests: requests."""
