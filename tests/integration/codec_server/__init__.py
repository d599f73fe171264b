"""Integration tests: codec server."""
