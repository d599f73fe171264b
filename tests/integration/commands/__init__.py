"""Integration tests: commands."""
