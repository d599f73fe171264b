"""Adapters: everything that communicates with systems outside the process."""
