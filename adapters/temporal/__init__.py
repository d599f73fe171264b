"""Temporal: client, data converter, encryption, search attributes."""
