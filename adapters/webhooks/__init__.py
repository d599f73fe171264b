"""Webhook delivery: HTTP client, dispatcher, fair selection of endpoints."""
