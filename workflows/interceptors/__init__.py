"""Workflow interceptors."""
