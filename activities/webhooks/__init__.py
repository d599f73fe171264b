"""Webhooks: the outbox, who is called, and the courier that goes between."""
