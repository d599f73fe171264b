"""Shared parts of the HTTP servers."""
