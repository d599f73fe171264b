"""Benchmarks of worksub against plain implementations of the same subscription on Temporal and on DBOS."""
