"""The codec server: decrypts payloads for Temporal's Web UI and CLI, for those who may see them."""
