"""Integration tests: encryption."""
