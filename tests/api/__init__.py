"""The HTTP API on the real service: uvicorn on a port of its own, httpx, real servers behind it."""
