"""Baseline: a plain implementation on DBOS."""
