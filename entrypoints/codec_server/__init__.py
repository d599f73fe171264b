"""Codec server for the Temporal Web UI and CLI."""
