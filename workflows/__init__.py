"""Temporal workflow definitions: one entity workflow per subscription, and the scheduled jobs."""
