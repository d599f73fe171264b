"""Local development stack: Temporal, PostgreSQL and DNS as child processes."""
