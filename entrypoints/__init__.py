"""Entry points: HTTP API, console, command line and codec server. Nothing imports them."""
