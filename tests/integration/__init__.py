"""The service on real servers: Temporal, PostgreSQL and DNS, the real workflow and the real activities."""
