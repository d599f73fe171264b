"""What the service does to the world outside: PostgreSQL, DNS, and Temporal's own histories."""
