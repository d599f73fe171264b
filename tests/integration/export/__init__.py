"""Exports on the real database."""
