"""Real servers without Docker: Temporal, PostgreSQL and DNS as children of one Python process."""
