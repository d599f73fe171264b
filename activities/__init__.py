"""Temporal activity definitions. Every activity is idempotent."""
