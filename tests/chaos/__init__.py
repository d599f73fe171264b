"""Fault injection: run subscriptions on real servers while these are killed, and verify the results."""
