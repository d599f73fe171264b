"""Baseline: a plain implementation on Temporal."""
