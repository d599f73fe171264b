"""Integration tests: notices."""
