"""Reconciliation of the database, the rules and Temporal, with safe repairs."""
