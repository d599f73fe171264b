"""Tests of the HTTP API: uvicorn and httpx with a real Temporal server and PostgreSQL."""
