"""Property tests: generated subscriptions, compared with an independent oracle."""
