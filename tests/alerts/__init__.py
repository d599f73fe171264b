"""Unit tests of the Prometheus rules. They need promtool: `make alerts`."""
